-- Every day on which something of a customer was booked: whether it is a purchase, the money booked, the contribution.
SELECT
    customer_id,
    day,
    purchase,
    CAST(sold - refunds AS DOUBLE) AS amount,
    CAST(contribution AS DOUBLE) AS contribution
FROM ({days}) AS d
ORDER BY customer_id, day
