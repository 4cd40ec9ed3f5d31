-- How many customers have how many lines, in classes of 5%; what they brought, what the best of them did, how many
-- have the name of a test account, and the most lines of one whose id stands for nobody in particular.
SELECT
    CAST(FLOOR(LN(n) * {classes}) AS BIGINT) AS size,
    COUNT(*) AS customers,
    SUM(CASE WHEN net > 0 THEN net ELSE 0 END) AS revenue,
    MAX(net) AS most,
    SUM(CASE WHEN {named} THEN 1 ELSE 0 END) AS named,
    MAX(CASE WHEN {catch_all} THEN n ELSE 0 END) AS catch_all
FROM ({customers}) AS c
GROUP BY CAST(FLOOR(LN(n) * {classes}) AS BIGINT)
ORDER BY size
