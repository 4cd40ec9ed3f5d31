-- The book: one row a customer, day and cancelled_day ({never}: not cancelled). It knows all of the log; `days` reads it as of a day.
SELECT
    customer_id,
    day,
    cancelled_day,
    CAST(SUM(gross) AS DECIMAL(18, {scale})) AS gross,
    CAST(SUM(refunds) AS DECIMAL(18, {scale})) AS refunds,
    CAST(SUM(contribution) AS DECIMAL(18, {scale})) AS contribution,
    CAST(SUM(orders) AS INTEGER) AS orders,
    CAST(SUM(free) AS INTEGER) AS free
FROM (
    SELECT
        customer_id, day, {never} AS cancelled_day, gross, refunds,
        contribution - service - CASE WHEN gross > 0 OR free > 0 THEN CAST({order_cost} AS DECIMAL(18, {scale})) ELSE 0 END AS contribution,
        CASE WHEN gross > 0 OR free > 0 THEN 1 ELSE 0 END AS orders,
        free
    FROM tickets
    UNION ALL
    SELECT customer_id, day, {never}, -gross - corrected, -refunds - corrected, 0, -orders, 0 FROM voids
    UNION ALL
    SELECT customer_id, day, cancelled_day, gross, refunds, 0, orders, 0 FROM voids WHERE gross + refunds > 0
) AS entries
GROUP BY customer_id, day, cancelled_day
