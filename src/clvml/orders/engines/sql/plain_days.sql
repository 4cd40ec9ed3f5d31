-- The customer-days of days.sql where each is one order and nothing of it is cancelled.
SELECT
    customer_id,
    day,
    gross,
    CAST(gross - refunds AS DECIMAL(18, {scale})) AS net,
    refunds,
    contribution,
    orders,
    gross AS sold,
    orders AS purchase
FROM ({order_totals}) AS t
WHERE day > {after} AND day <= {as_of}
