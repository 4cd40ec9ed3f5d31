-- Contribution by periods of {width} days of a customer's life: 0 is the day of the first purchase, n the nth period after it.
SELECT
    d.customer_id AS customer_id,
    f.first_day AS first_day,
    CAST(CEIL((d.day - f.first_day) / CAST({width} AS DOUBLE)) AS BIGINT) AS period,
    CAST(SUM(d.contribution) AS DOUBLE) AS contribution
FROM ({days}) AS d
JOIN (SELECT customer_id, MIN(day) AS first_day FROM ({days}) AS e WHERE purchase = 1 GROUP BY customer_id) AS f
    ON d.customer_id = f.customer_id
WHERE d.day >= f.first_day
GROUP BY d.customer_id, f.first_day, CEIL((d.day - f.first_day) / CAST({width} AS DOUBLE))
ORDER BY d.customer_id, period
