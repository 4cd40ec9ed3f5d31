-- The customer-days of days.sql where each is one ticket and nothing of it is cancelled.
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
FROM ({tickets}) AS t
WHERE day > {after} AND day <= {as_of}
