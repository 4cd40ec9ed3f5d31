-- The distinct histories of a BTYD likelihood on day {as_of} and how many customers share each.
-- `clvml.maths.customers` works out frequency, recency and T as well, row by row. Each is the oracle of the other:
-- tests/orders/test_transactions.py holds them together.
SELECT
    frequency,
    recency,
    age,
    COUNT(*) AS customers
FROM (
    SELECT
        COUNT(*) - 1 AS frequency,
        CAST(MAX(day) - MIN(day) AS BIGINT) AS recency,
        CAST({as_of} - MIN(day) AS BIGINT) AS age
    FROM ({days}) AS d
    WHERE purchase = 1
    GROUP BY customer_id
) AS c
GROUP BY frequency, recency, age
ORDER BY frequency, recency, age
