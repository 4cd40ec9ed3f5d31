-- All lines of the customers whose ids, as text, are in wanted_customers.
SELECT {columns}
FROM lines AS l
JOIN wanted_customers AS w ON {key} = w.id
WHERE l.clean
ORDER BY l.customer_id, l.day, l.amount
