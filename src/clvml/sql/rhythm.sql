-- One row a customer: when purchases were made, in whole days. log_gaps is a DECIMAL sum, so that row order and threads cannot change it.
SELECT
    customer_id,
    MIN(day) AS first_day,
    MAX(day) AS last_day,
    COUNT(*) - 1 AS frequency,
    MAX(day) - MIN(day) AS recency,
    {as_of} - MIN(day) AS age,
    {as_of} - MAX(day) AS days_since_last,
    CAST(COALESCE(SUM(CAST(LN(CAST(day - previous AS DOUBLE)) AS DECIMAL(18, 12))), 0) AS DOUBLE) AS log_gaps
FROM (
    SELECT customer_id, day, LAG(day) OVER (PARTITION BY customer_id ORDER BY day) AS previous
    FROM ({days}) AS d
    WHERE purchase = 1
) AS purchases
GROUP BY customer_id
