-- One look at the text columns: ids that are not whole numbers, and what dates such as 03/04/2011 show about
-- their order; times with a zone, and without.
SELECT
    COALESCE(SUM(CASE WHEN {missing} OR {whole} THEN 0 ELSE 1 END), 0) AS other_ids,
    COALESCE(SUM(CASE WHEN {day_first} THEN 1 ELSE 0 END), 0) AS day_first,
    COALESCE(SUM(CASE WHEN {month_first} THEN 1 ELSE 0 END), 0) AS month_first,
    COALESCE(SUM(CASE WHEN {zoned} THEN 1 ELSE 0 END), 0) AS zoned,
    COALESCE(SUM(CASE WHEN {zoneless} THEN 1 ELSE 0 END), 0) AS zoneless
FROM source
