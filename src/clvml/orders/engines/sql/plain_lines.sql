-- The lines that count and are known on day {as_of}, of a log in which each is a sale and nothing is cancelled; several may be of one
-- customer-day.
SELECT
    customer_id,
    {day} AS day,
    {net} AS net{more}
FROM lines
WHERE clean AND {kept} AND day <= {as_of}
