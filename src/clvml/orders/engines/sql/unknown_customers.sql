-- How many of wanted_customers (id: text) have no line up to day {as_of}, and the first of them.
SELECT COUNT(*) AS unknown, MIN(w.id) AS first
FROM wanted_customers AS w
LEFT JOIN (SELECT DISTINCT {key} AS id FROM lines WHERE clean AND day <= {as_of}) AS l ON w.id = l.id
WHERE l.id IS NULL
