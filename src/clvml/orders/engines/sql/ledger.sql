-- The book of all that is known of the log: entries by customer, day and cancelled_day ({never}: not cancelled), to be summed.
-- What `voids` says of a ticket is booked out of it and, where it was booked money, in again under the day of its cancellation.
SELECT customer_id, day, {never} AS cancelled_day, gross, refunds, contribution, orders, free FROM tickets
UNION ALL
SELECT customer_id, day, {never}, -gross - corrected, -refunds - corrected, 0, -orders, 0 FROM voids
UNION ALL
SELECT customer_id, day, cancelled_day, gross, refunds, 0, orders, 0 FROM voids WHERE gross + refunds > 0
