-- What the customers who are in the log by the last day did within a window: purchases, their net amount (spend), all money that was
-- booked (amount), contribution; zeros for those who did nothing.
SELECT
    c.customer_id AS customer_id,
    CAST(COALESCE(SUM(d.purchase), 0) AS BIGINT) AS purchases,
    CAST(COALESCE(SUM(CASE WHEN d.purchase = 1 THEN d.net ELSE 0 END), 0) AS DOUBLE) AS spend,
    CAST(COALESCE(SUM(d.sold - d.refunds), 0) AS DOUBLE) AS amount,
    CAST(COALESCE(SUM(d.contribution), 0) AS DOUBLE) AS contribution
FROM (SELECT DISTINCT customer_id FROM lines WHERE clean AND day <= {until}) AS c
LEFT JOIN ({days}) AS d ON d.customer_id = c.customer_id
GROUP BY c.customer_id
ORDER BY c.customer_id
