-- The distinct rows of a BTYD likelihood and how many customers share each.
SELECT
    CAST(frequency AS BIGINT) AS frequency,
    CAST(recency AS BIGINT) AS recency,
    CAST(age AS BIGINT) AS age,
    COUNT(*) AS customers
FROM ({rhythm}) AS r
GROUP BY frequency, recency, age
ORDER BY frequency, recency, age
