-- The sums of several parts of a log, added up: one row a customer, day and order.
SELECT
    customer_id,
    day,
    order_id,
    CAST(SUM(gross) AS DECIMAL(18, {scale})) AS gross,
    CAST(SUM(refunds) AS DECIMAL(18, {scale})) AS refunds,
    CAST(SUM(contribution) AS DECIMAL(18, {scale})) AS contribution,
    CAST(SUM(service_sum) AS DECIMAL(18, {scale})) AS service_sum,
    MAX(service_max) AS service_max,
    CAST(SUM(free) AS INTEGER) AS free
FROM ({parts}) AS parts
GROUP BY customer_id, day, order_id
