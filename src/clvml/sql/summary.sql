-- One row a customer. monetary_value: net of all days after the first purchase, over the repeat purchases; so refunds booked on other
-- days count, and amount = first_amount + frequency * monetary_value, less refunds booked before the first purchase.
WITH days AS ({days}),

rhythm AS ({rhythm})

SELECT
    r.customer_id AS customer_id,
    MIN(r.first_day) AS first_day,
    MIN(r.last_day) AS last_day,
    CAST(MIN(r.frequency) AS BIGINT) AS frequency,
    CAST(MIN(r.recency) AS BIGINT) AS recency,
    CAST(MIN(r.age) AS BIGINT) AS age,
    CAST(MIN(r.days_since_last) AS BIGINT) AS days_since_last,
    CASE WHEN MIN(r.frequency) > 0
         THEN CAST(SUM(CASE WHEN d.day > r.first_day THEN d.net ELSE 0 END) AS DOUBLE) / MIN(r.frequency) ELSE 0.0 END AS monetary_value,
    CAST(SUM(CASE WHEN d.day = r.first_day THEN d.net ELSE 0 END) AS DOUBLE) AS first_amount,
    CAST(SUM(d.sold - d.refunds) AS DOUBLE) AS amount,
    CAST(SUM(d.sold) AS DOUBLE) AS gross,
    CAST(SUM(d.refunds) AS DOUBLE) AS returns_value,
    CAST(SUM(CASE WHEN d.refunds > 0 THEN 1 ELSE 0 END) AS BIGINT) AS n_returns,
    CAST(SUM(d.contribution) AS DOUBLE) AS contribution,
    MIN(r.log_gaps) AS log_gaps
FROM rhythm AS r
JOIN days AS d ON d.customer_id = r.customer_id
GROUP BY r.customer_id
ORDER BY r.customer_id
