-- One row a customer, sorted: what a snapshot on day {as_of} tells of rhythm, trend and spend beyond the summary.
-- Windows are shares and multiples of {window}, the days that a label looks ahead, so that they mean the same at every horizon.
-- Sums are of whole numbers and DECIMALs, so that row order and threads cannot change them.
WITH purchases AS (
    SELECT
        customer_id, day, net,
        CAST(day - LAG(day) OVER (PARTITION BY customer_id ORDER BY day) AS BIGINT) AS gap,
        ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY day DESC) AS back
    FROM ({days}) AS d
    WHERE purchase = 1
)

SELECT
    customer_id,
    CASE WHEN COUNT(gap) > 0 THEN CAST(SUM(gap) AS DOUBLE) / COUNT(gap) END AS gap_mean,
    CASE WHEN COUNT(gap) > 1
         THEN SQRT(CAST(COUNT(gap) * SUM(gap * gap) - SUM(gap) * SUM(gap) AS DOUBLE)) / COUNT(gap) END AS gap_sd,
    CAST(MAX(gap) AS DOUBLE) AS gap_max,
    CAST(MAX(CASE WHEN back = 1 THEN gap END) AS DOUBLE) AS gap_last,
    CAST(SUM(CASE WHEN day > {as_of} - {window} / 4.0 THEN 1 ELSE 0 END) AS DOUBLE) AS purchases_quarter,
    CAST(SUM(CASE WHEN day > {as_of} - {window} / 2.0 THEN 1 ELSE 0 END) AS DOUBLE) AS purchases_half,
    CAST(SUM(CASE WHEN day > {as_of} - {window} THEN 1 ELSE 0 END) AS DOUBLE) AS purchases_one,
    CAST(SUM(CASE WHEN day > {as_of} - 2 * {window} THEN 1 ELSE 0 END) AS DOUBLE) AS purchases_two,
    CAST(SUM(CASE WHEN day > {as_of} - {window} / 2.0 THEN net ELSE 0 END) AS DOUBLE) AS spend_half,
    CAST(SUM(CASE WHEN day > {as_of} - {window} THEN net ELSE 0 END) AS DOUBLE) AS spend_one,
    CAST(MAX(CASE WHEN back = 1 THEN net END) AS DOUBLE) AS last_amount,
    CAST(MAX(net) AS DOUBLE) AS max_amount,
    CAST(SUM(net) AS DOUBLE) / COUNT(*) AS mean_amount
FROM purchases
GROUP BY customer_id
ORDER BY customer_id
