-- Customer-days (or weeks, by their Monday) booked after day {after} and known on day {as_of}.
--   gross > 0 marks a purchase: sales less orders cancelled in full by then. net: the same less refunds; cancelled orders are in neither.
--   sold, refunds: all that was booked, also of orders cancelled on a later day.
SELECT
    customer_id,
    {period} AS day,
    SUM(CASE WHEN cancelled_day > {as_of} THEN gross ELSE 0 END) AS gross,
    SUM(CASE WHEN cancelled_day > {as_of} THEN gross - refunds ELSE 0 END) AS net,
    SUM(refunds) AS refunds,
    SUM(contribution) AS contribution,
    SUM(CASE WHEN cancelled_day > {as_of} THEN orders ELSE 0 END) AS orders,
    SUM(gross) AS sold
FROM ledger
WHERE day > {after} AND day <= {as_of}
GROUP BY customer_id, {period}
