-- Orders that count once they are paid, and payments.
CREATE TABLE unpaid_orders (
    event_id uuid PRIMARY KEY,
    order_key uuid NOT NULL,
    batch_id bigint NOT NULL,
    paid_batch bigint
) WITH (fillfactor = 80);
COMMENT ON TABLE unpaid_orders IS 'The orders that were logged unpaid while ORDER_COUNTS_WHEN was paid.';
COMMENT ON COLUMN unpaid_orders.event_id IS 'The order''s event.';
COMMENT ON COLUMN unpaid_orders.order_key IS 'The hash of the order''s id, as in order_keys.';
COMMENT ON COLUMN unpaid_orders.batch_id IS 'The batch that logged it: batches.id.';
COMMENT ON COLUMN unpaid_orders.paid_batch IS 'The batch that counted it: batches.id. NULL: it waits for its payment.';
CREATE INDEX unpaid_orders_waiting ON unpaid_orders (order_key) WHERE paid_batch IS NULL;
CREATE INDEX unpaid_orders_paid ON unpaid_orders (paid_batch) WHERE paid_batch IS NOT NULL;

CREATE TABLE payments (
    event_id uuid PRIMARY KEY,
    order_key uuid NOT NULL,
    batch_id bigint NOT NULL
);
COMMENT ON TABLE payments IS 'The orders that were paid after they were created.';
COMMENT ON COLUMN payments.event_id IS 'The event that says so.';
COMMENT ON COLUMN payments.order_key IS 'The hash of the order''s id, as in order_keys.';
COMMENT ON COLUMN payments.batch_id IS 'The batch that logged it: batches.id.';
CREATE INDEX payments_order ON payments (order_key);

COMMENT ON COLUMN batches.reversed IS
    'The keys of the orders that its reversals and payments are about. NULL once it is counted.';

CREATE OR REPLACE VIEW bi.order_lines_v1 AS
SELECT l.event_id, e.created_at AS ordered_at, e.user_id, l.line, l.product_id, l.vendor_id, l.quantity, l.amount, l.currency,
       NOT EXISTS (SELECT FROM unpaid_orders u WHERE u.event_id = l.event_id AND u.paid_batch IS NULL) AS is_counted
FROM order_lines l JOIN event_logs e ON e.id = l.event_id;
COMMENT ON COLUMN bi.order_lines_v1.is_counted IS 'false: the order waits for its payment (ORDER_COUNTS_WHEN=paid).';
