-- The orders above a size, the largest first, and whether the same amount was returned on that day or later.
WITH orders AS (SELECT * FROM ({orders}) AS s WHERE gross > {fence!r} OR refunds > {fence!r})

SELECT
    o.customer_id AS customer_id,
    o.day AS day,
    {order} AS order_id,
    o.gross AS gross,
    MAX(CASE WHEN b.day IS NULL THEN 0 ELSE 1 END) AS returned
FROM orders AS o
LEFT JOIN orders AS b ON b.customer_id = o.customer_id AND b.refunds = o.gross AND b.day >= o.day
WHERE o.gross > {fence!r}
GROUP BY o.customer_id, o.day, {order}, o.gross
ORDER BY gross DESC, customer_id, day
