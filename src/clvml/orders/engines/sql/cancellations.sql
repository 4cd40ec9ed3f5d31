-- What of a customer-day is cancelled in full, and from which booking day on (cancelled_day).
--   linked: refunds under the order's own id. An order is cancelled from the first day on which its refunds reach what it sold.
--   loose:  refunds without such an id. On one customer-day, lines of equal and opposite amount cancel pair by pair,
--           and refunds that equal the whole gross of the day cancel the day.
-- gross, refunds: money of cancelled orders, still booked money. corrected: sold and taken back within one day, as if never booked.
WITH refunded AS (
    SELECT DISTINCT customer_id, order_id FROM order_totals WHERE refunds > 0 AND order_id IS NOT NULL
),

running AS (
    SELECT
        t.customer_id, t.order_id, t.day, t.gross, t.refunds,
        SUM(t.gross) OVER (PARTITION BY t.customer_id, t.order_id ORDER BY t.day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS sold,
        SUM(t.refunds) OVER (PARTITION BY t.customer_id, t.order_id ORDER BY t.day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS returned
    FROM order_totals AS t JOIN refunded AS r ON t.customer_id = r.customer_id AND t.order_id = r.order_id
),

linked AS (
    SELECT
        customer_id, day, gross, refunds,
        CASE WHEN gross < refunds THEN gross ELSE refunds END AS corrected,
        MIN(CASE WHEN sold > 0 AND returned >= sold THEN day END)
            OVER (PARTITION BY customer_id, order_id ORDER BY day ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS cancelled_day
    FROM running
),

loose AS (
    SELECT customer_id, day, '' AS order_id FROM order_totals WHERE refunds > 0 AND order_id IS NULL
    UNION ALL
    SELECT customer_id, day, order_id FROM running WHERE refunds > 0 AND sold = 0
),

sizes AS (
    SELECT
        l.customer_id, l.day, ABS(l.amount) AS size,
        CAST(SUM(CASE WHEN l.amount > 0 THEN 1 ELSE 0 END) AS INTEGER) AS sold,
        CAST(SUM(CASE WHEN l.amount < 0 AND g.order_id IS NOT NULL THEN 1 ELSE 0 END) AS INTEGER) AS returned
    FROM lines AS l
    JOIN (SELECT DISTINCT customer_id, day FROM loose) AS d ON l.customer_id = d.customer_id AND l.day = d.day
    LEFT JOIN loose AS g ON l.customer_id = g.customer_id AND l.day = g.day AND COALESCE(l.order_id, '') = g.order_id
    WHERE l.clean
    GROUP BY l.customer_id, l.day, ABS(l.amount)
),

paired AS (
    SELECT
        customer_id, day,
        CASE WHEN SUM(size * sold) = SUM(size * returned) THEN SUM(size * sold)
             ELSE SUM(size * CASE WHEN sold < returned THEN sold ELSE returned END) END AS corrected
    FROM sizes
    GROUP BY customer_id, day
)

SELECT
    customer_id, day, cancelled_day,
    CAST(CASE WHEN cancelled_day = day THEN gross - corrected ELSE gross END AS DECIMAL(18, {scale})) AS gross,
    CAST(CASE WHEN cancelled_day = day THEN refunds - corrected ELSE refunds END AS DECIMAL(18, {scale})) AS refunds,
    CAST(CASE WHEN cancelled_day = day THEN corrected ELSE 0 END AS DECIMAL(18, {scale})) AS corrected,
    CASE WHEN gross > 0 THEN 1 ELSE 0 END AS orders
FROM linked WHERE cancelled_day IS NOT NULL
UNION ALL
SELECT customer_id, day, day, 0, 0, CAST(corrected AS DECIMAL(18, {scale})), 0 FROM paired WHERE corrected > 0
