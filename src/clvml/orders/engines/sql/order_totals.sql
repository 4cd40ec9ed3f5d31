-- One row a customer, day and order (a customer and day where the log has no order ids), from the lines that count.
-- free: lines of amount zero, where they make a purchase.
SELECT
    customer_id,
    day,
    order_id,
    gross,
    refunds,
    CAST({contribution} AS DECIMAL(18, {scale})) AS contribution,
    CASE WHEN gross > 0 OR free > 0 THEN 1 ELSE 0 END AS orders,
    free
FROM (
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
) AS sums
