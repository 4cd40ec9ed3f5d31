-- How many orders (customer-days where the log has no order ids) have which size, in classes of 5%.
SELECT CAST(FLOOR(LN(gross) * {classes}) AS BIGINT) AS size, COUNT(*) AS orders
FROM ({orders}) AS o
WHERE gross > 0
GROUP BY CAST(FLOOR(LN(gross) * {classes}) AS BIGINT)
ORDER BY size
