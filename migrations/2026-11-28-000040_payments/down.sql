DROP VIEW bi.order_lines_v1;
CREATE VIEW bi.order_lines_v1 AS
SELECT l.event_id, e.created_at AS ordered_at, e.user_id, l.line, l.product_id, l.vendor_id, l.quantity, l.amount, l.currency
FROM order_lines l JOIN event_logs e ON e.id = l.event_id;
COMMENT ON VIEW bi.order_lines_v1 IS 'The lines of each order.';
COMMENT ON COLUMN bi.order_lines_v1.event_id IS 'bi.events_v1.id of the order. Sorts by its time: see bi.first_id.';
COMMENT ON COLUMN bi.order_lines_v1.ordered_at IS 'When it was ordered.';
COMMENT ON COLUMN bi.order_lines_v1.user_id IS 'The buyer.';
COMMENT ON COLUMN bi.order_lines_v1.line IS 'The position in the order, from 1.';
COMMENT ON COLUMN bi.order_lines_v1.product_id IS 'The product, if it is named.';
COMMENT ON COLUMN bi.order_lines_v1.vendor_id IS 'The seller, if it is named or known.';
COMMENT ON COLUMN bi.order_lines_v1.quantity IS 'Units.';
COMMENT ON COLUMN bi.order_lines_v1.amount IS 'The gross amount in minor units of the currency.';
COMMENT ON COLUMN bi.order_lines_v1.currency IS 'The currency.';
COMMENT ON COLUMN batches.reversed IS 'The keys of the orders that its reversals are about. NULL once it is counted.';
DROP TABLE payments;
DROP TABLE unpaid_orders;
