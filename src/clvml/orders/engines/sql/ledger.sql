-- The book of all that is known of the log: entries by customer, day and cancelled_day ({never}: not cancelled), to be summed.
-- What `cancellations` says of an order is booked out of it and, where it was booked money, in again under the day of its cancellation.
SELECT customer_id, day, {never} AS cancelled_day, gross, refunds, contribution, orders, free FROM order_totals
UNION ALL
SELECT customer_id, day, {never}, -gross - corrected, -refunds - corrected, 0, -orders, 0 FROM cancellations
UNION ALL
SELECT customer_id, day, cancelled_day, gross, refunds, 0, orders, 0 FROM cancellations WHERE gross + refunds > 0
