-- One look at the typed lines: how many, how many count, their first and last day, refunds among them, and the largest
-- amount.
SELECT
    COUNT(*) AS lines,
    COALESCE(SUM(CASE WHEN clean THEN 1 ELSE 0 END), 0) AS clean,
    MIN(CASE WHEN clean THEN day END) AS first_day,
    MAX(CASE WHEN clean THEN day END) AS last_day,
    COALESCE(SUM(CASE WHEN clean AND amount < 0 THEN 1 ELSE 0 END), 0) AS refunds,
    COALESCE(MAX(CASE WHEN clean THEN ABS(CAST(amount AS DOUBLE)) END), 0) AS largest
FROM lines
