ALTER TABLE order_lines
    ALTER COLUMN product_id SET STATISTICS -1,
    ALTER COLUMN vendor_id SET STATISTICS -1;
ALTER TABLE event_logs
    ALTER COLUMN user_id SET STATISTICS -1,
    ALTER COLUMN product_id SET STATISTICS -1,
    ALTER COLUMN vendor_id SET STATISTICS -1;
DROP INDEX event_logs_type;
DROP INDEX order_lines_subject;
DROP INDEX event_logs_subject;

CREATE INDEX order_lines_currency ON order_lines (currency, event_id);
CREATE INDEX order_lines_vendor ON order_lines (vendor_id, event_id);
CREATE INDEX order_lines_product ON order_lines (product_id, event_id);
CREATE INDEX event_logs_vendor ON event_logs (vendor_id, id);
CREATE INDEX event_logs_product ON event_logs (product_id, id);
CREATE INDEX event_logs_user ON event_logs USING brin (
    user_id text_bloom_ops (n_distinct_per_range = 1000)
) WITH (pages_per_range = 32);
CREATE INDEX event_logs_type ON event_logs (event_type, id);
