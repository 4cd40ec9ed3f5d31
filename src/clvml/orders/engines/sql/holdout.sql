-- Purchases after the cut of every customer known at it: purchase days and their net amount.
SELECT
    k.customer_id AS customer_id,
    CAST(COUNT(l.day) AS BIGINT) AS purchases,
    CAST(COALESCE(SUM(l.net), 0) AS DOUBLE) AS spend
FROM (SELECT DISTINCT customer_id FROM ({known}) AS a WHERE purchase = 1) AS k
LEFT JOIN (SELECT customer_id, day, net FROM ({later}) AS b WHERE purchase = 1) AS l ON l.customer_id = k.customer_id
GROUP BY k.customer_id
ORDER BY k.customer_id
