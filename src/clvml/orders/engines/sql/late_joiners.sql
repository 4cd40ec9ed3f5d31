-- Customers whose first purchase falls after the cut: how many, how often and for how much they bought.
SELECT
    COUNT(DISTINCT l.customer_id) AS customers,
    COUNT(*) AS purchases,
    CAST(COALESCE(SUM(l.net), 0) AS DOUBLE) AS spend
FROM ({later}) AS l
LEFT JOIN (SELECT DISTINCT customer_id FROM ({known}) AS a WHERE purchase = 1) AS k ON l.customer_id = k.customer_id
WHERE l.purchase = 1 AND k.customer_id IS NULL
