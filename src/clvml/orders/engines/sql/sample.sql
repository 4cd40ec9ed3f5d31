-- All lines of {customers} of the {found} customers, drawn evenly over the customers in the order of their number of lines, so that each
-- stands for as many others: of those with as many lines, the share that is due, at random by the least MD5, which is the same on every
-- engine and in every version. No engine has to sort all customers: more than enough of those with as many lines have an MD5 below
-- `below`, and only they are ranked.
WITH sizes AS (
    SELECT customer_id, COUNT(*) AS n, MD5(CONCAT(CAST(customer_id AS STRING), ' {seed}')) AS draw
    FROM lines
    WHERE {known}
    GROUP BY customer_id
),

by_size AS (
    SELECT n, among, FLOOR(upto * {customers} / {found}) - FLOOR((upto - among) * {customers} / {found}) AS drawn
    FROM (
        SELECT n, CAST(among AS DOUBLE) AS among, CAST(SUM(among) OVER (ORDER BY n) AS DOUBLE) AS upto
        FROM (SELECT n, COUNT(*) AS among FROM sizes GROUP BY n) AS counted
    ) AS running
),

shares AS (
    SELECT
        n, drawn,
        CASE
            WHEN drawn + 8 * SQRT(drawn) + 32 >= among THEN 'g'
            ELSE LPAD(LOWER(HEX(CAST(FLOOR((drawn + 8 * SQRT(drawn) + 32) / among * 4294967296) AS BIGINT))), 8, '0')
        END AS below
    FROM by_size
),

ranked AS (
    SELECT s.customer_id, t.drawn, ROW_NUMBER() OVER (PARTITION BY s.n ORDER BY s.draw, s.customer_id) AS place
    FROM sizes AS s
    JOIN shares AS t ON s.n = t.n
    WHERE s.draw < t.below
)

SELECT {columns}
FROM lines AS l
JOIN ranked AS r ON l.customer_id = r.customer_id
WHERE l.clean AND r.place <= r.drawn
ORDER BY l.customer_id, l.day, l.amount
