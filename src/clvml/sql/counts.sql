-- The distinct rows of a BTYD likelihood and how many customers share each.
SELECT
    frequency,
    recency,
    age,
    COUNT(*) AS customers
FROM ({customers}) AS c
GROUP BY frequency, recency, age
ORDER BY frequency, recency, age
