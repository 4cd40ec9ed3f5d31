-- One row a customer, day and order (a customer and day where the log has no order ids), from the lines that count.
-- free: lines of amount zero, where they make a purchase.
-- service: what serving costs, told on every line of its order, so the largest; without order ids the sum over the day.
SELECT
    customer_id,
    day,
    order_id,
    CAST(SUM(CASE WHEN amount > 0 THEN amount ELSE 0 END) AS DECIMAL(18, {scale})) AS gross,
    CAST(SUM(CASE WHEN amount < 0 THEN -amount ELSE 0 END) AS DECIMAL(18, {scale})) AS refunds,
    {free} * SUM(CASE WHEN amount = 0 THEN 1 ELSE 0 END) AS free,
    CAST(SUM(contribution) AS DECIMAL(18, {scale})) AS contribution,
    CAST(CASE WHEN order_id IS NULL THEN SUM(service) ELSE MAX(service) END AS DECIMAL(18, {scale})) AS service
FROM lines
WHERE clean AND {kept}
GROUP BY customer_id, day, order_id
