-- One row a customer with a purchase by day {today}: the summary, and what a snapshot tells of rhythm, trend and spend beyond it.
-- Windows are shares and multiples of {window}, the days that a label looks ahead, so that they mean the same at every horizon.
-- Sums are of whole numbers and DECIMALs, so that row order and threads cannot change them.
--   early: days with refunds alone before the first purchase. monetary_value: net of all days after the first purchase, over the repeat
--   purchases; so refunds booked on other days count, and amount = first_amount + frequency * monetary_value, less early refunds.
SELECT
    customer_id,
    first_day,
    last_day,
    purchases - 1 AS frequency,
    CAST(last_day - first_day AS BIGINT) AS recency,
    CAST({as_of} - first_day AS BIGINT) AS age,
    CAST({as_of} - last_day AS BIGINT) AS days_since_last,
    CASE WHEN purchases > 1 THEN CAST(net - first_net - early AS DOUBLE) / (purchases - 1) ELSE 0.0 END AS monetary_value,
    CAST(first_net AS DOUBLE) AS first_amount,
    CAST(sold - refunds AS DOUBLE) AS amount,
    CAST(sold AS DOUBLE) AS gross,
    CAST(refunds AS DOUBLE) AS returns_value,
    n_returns,
    CAST(contribution AS DOUBLE) AS contribution,
    log_gaps,
    CASE WHEN purchases > 1 THEN CAST(last_day - first_day AS DOUBLE) / (purchases - 1) END AS gap_mean,
    CASE WHEN purchases > 2
         THEN SQRT(CAST((purchases - 1) * squares - CAST(last_day - first_day AS BIGINT) * (last_day - first_day) AS DOUBLE)) / (purchases - 1)
         END AS gap_sd,
    CAST(gap_max AS DOUBLE) AS gap_max,
    CAST(gap_last AS DOUBLE) AS gap_last,
    purchases_quarter,
    purchases_half,
    purchases_one,
    purchases_two,
    CAST(spend_half AS DOUBLE) AS spend_half,
    CAST(spend_one AS DOUBLE) AS spend_one,
    CAST(last_amount AS DOUBLE) AS last_amount,
    CAST(max_amount AS DOUBLE) AS max_amount,
    CAST(purchase_net AS DOUBLE) / purchases AS mean_amount
FROM (
    SELECT
        customer_id,
        MIN(bought) AS first_day,
        MAX(bought) AS last_day,
        CAST(SUM(purchase) AS BIGINT) AS purchases,
        SUM(net) AS net,
        SUM(CASE WHEN purchase = 1 THEN net ELSE 0 END) AS purchase_net,
        SUM(CASE WHEN purchase = 1 AND previous IS NULL THEN net ELSE 0 END) AS first_net,
        SUM(CASE WHEN purchase = 0 AND previous IS NULL THEN net ELSE 0 END) AS early,
        SUM(sold) AS sold,
        SUM(refunds) AS refunds,
        CAST(SUM(CASE WHEN refunds > 0 THEN 1 ELSE 0 END) AS BIGINT) AS n_returns,
        SUM(contribution) AS contribution,
        CAST(COALESCE(SUM(CAST(LN(CAST(bought - previous AS DOUBLE)) AS DECIMAL(18, 12))), 0) AS DOUBLE) AS log_gaps,
        CAST(SUM(CAST(bought - previous AS BIGINT) * (bought - previous)) AS BIGINT) AS squares,
        MAX(bought - previous) AS gap_max,
        MAX_BY(bought - previous, bought) AS gap_last,
        CAST(SUM(CASE WHEN bought > {today} - {window} / 4.0 THEN 1 ELSE 0 END) AS DOUBLE) AS purchases_quarter,
        CAST(SUM(CASE WHEN bought > {today} - {window} / 2.0 THEN 1 ELSE 0 END) AS DOUBLE) AS purchases_half,
        CAST(SUM(CASE WHEN bought > {today} - {window} THEN 1 ELSE 0 END) AS DOUBLE) AS purchases_one,
        CAST(SUM(CASE WHEN bought > {today} - 2 * {window} THEN 1 ELSE 0 END) AS DOUBLE) AS purchases_two,
        SUM(CASE WHEN bought > {today} - {window} / 2.0 THEN net ELSE 0 END) AS spend_half,
        SUM(CASE WHEN bought > {today} - {window} THEN net ELSE 0 END) AS spend_one,
        MAX_BY(net, bought) AS last_amount,
        MAX(CASE WHEN purchase = 1 THEN net END) AS max_amount
    FROM (
        SELECT
            *,
            CASE WHEN purchase = 1 THEN day END AS bought,
            {last_known} OVER (PARTITION BY customer_id ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS previous
        FROM ({days}) AS d
    ) AS steps
    GROUP BY customer_id
) AS customers
WHERE purchases > 0
