-- What adds up of each order (of each customer-day where the log has no order ids), from the lines that count.
SELECT
    customer_id,
    day,
    {order} AS order_id,
    CAST({gross} AS DECIMAL(18, {scale})) AS gross,
    CAST({refunds} AS DECIMAL(18, {scale})) AS refunds,
    SUM(contribution) AS contribution,
    {service} AS service,
    {free} AS free
FROM lines
WHERE clean AND {kept}
GROUP BY {keys}
