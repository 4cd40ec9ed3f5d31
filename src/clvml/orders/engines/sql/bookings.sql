-- Customer-days as `clvml.orders.summaries` reads them.
SELECT
    customer_id,
    day,
    CAST(net AS DECIMAL(18, {scale})) AS net,
    CAST(contribution AS DECIMAL(18, {scale})) AS contribution,
    CAST(sold AS DECIMAL(18, {scale})) AS sold,
    CAST(refunds AS DECIMAL(18, {scale})) AS refunds,
    purchase
FROM ({days}) AS d
