-- Customer-days (or weeks, by their Monday) booked after day {after} and known on day {as_of}.
--   purchase: 1 where sales are left after orders cancelled in full by then (or a free order counts), else 0.
--   gross, net: those sales, and the same less refunds. sold, refunds: all that was booked, also of orders cancelled on a later day.
SELECT
    customer_id,
    day,
    gross,
    net,
    refunds,
    contribution,
    CASE WHEN gross > 0 OR free > 0 THEN orders ELSE 0 END AS orders,
    sold,
    CASE WHEN gross > 0 OR free > 0 THEN 1 ELSE 0 END AS purchase
FROM (
    SELECT
        customer_id,
        {period} AS day,
        SUM(CASE WHEN cancelled_day > {as_of} THEN gross ELSE 0 END) AS gross,
        SUM(CASE WHEN cancelled_day > {as_of} THEN gross - refunds ELSE 0 END) AS net,
        SUM(refunds) AS refunds,
        SUM(contribution) AS contribution,
        SUM(CASE WHEN cancelled_day > {as_of} THEN orders ELSE 0 END) AS orders,
        SUM(gross) AS sold,
        SUM(free) AS free
    FROM {ledger}
    WHERE day > {after} AND day <= {as_of}
    GROUP BY customer_id, {period}
) AS booked
