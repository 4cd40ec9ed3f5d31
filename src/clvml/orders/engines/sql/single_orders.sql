-- What was sold and returned in each order (on each customer-day where the log has no order ids) up to a day.
SELECT
    {keys},
    CAST(SUM(CASE WHEN amount > 0 THEN amount ELSE 0 END) AS DOUBLE) AS gross,
    CAST(SUM(CASE WHEN amount < 0 THEN -amount ELSE 0 END) AS DOUBLE) AS refunds
FROM lines
WHERE clean AND {kept} AND day <= {as_of}
GROUP BY {keys}
