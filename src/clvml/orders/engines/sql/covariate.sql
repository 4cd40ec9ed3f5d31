-- One value a customer of a column: that of the {pick} (MIN: first, MAX: last) day that has one; of several on that day the smallest.
SELECT v.customer_id AS customer_id, MIN(v.{column}) AS value
FROM lines AS v
JOIN (
    SELECT customer_id, {pick}(day) AS day FROM lines WHERE clean AND {column} IS NOT NULL AND day <= {as_of} GROUP BY customer_id
) AS p ON v.customer_id = p.customer_id AND v.day = p.day
WHERE v.clean AND v.{column} IS NOT NULL
GROUP BY v.customer_id
