-- All lines of {customers} of the {found} customers: every so many of them in the order of their number of lines, so that each stands for
-- as many others; MD5 because it is the same on every engine and in every version.
SELECT {columns}
FROM lines AS l
JOIN (
    SELECT customer_id, ROW_NUMBER() OVER (ORDER BY n, MD5(CONCAT(CAST(customer_id AS STRING), ' {seed}')), customer_id) AS place
    FROM (SELECT customer_id, COUNT(*) AS n FROM lines WHERE {known} GROUP BY customer_id) AS sizes
) AS d ON l.customer_id = d.customer_id
WHERE l.clean AND FLOOR(CAST(d.place AS DOUBLE) * {customers} / {found}) > FLOOR(CAST(d.place - 1 AS DOUBLE) * {customers} / {found})
ORDER BY l.customer_id, l.day, l.amount
