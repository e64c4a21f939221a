DROP INDEX event_logs_adjustment;
DROP INDEX event_logs_rating_vendor;
DROP INDEX event_logs_rating_product;
DROP INDEX event_logs_rating_user;
DROP INDEX event_logs_user;
DROP INDEX order_lines_currency;
DROP INDEX order_lines_vendor;
DROP INDEX order_lines_product;
DROP INDEX event_logs_vendor;
DROP INDEX event_logs_product;

CREATE INDEX order_lines_subject ON order_lines USING brin (
    product_id text_bloom_ops (n_distinct_per_range = 2000),
    vendor_id text_bloom_ops (n_distinct_per_range = 2000)
) WITH (pages_per_range = 32);
CREATE INDEX event_logs_subject ON event_logs USING brin (
    user_id text_bloom_ops (n_distinct_per_range = 1000),
    product_id text_bloom_ops (n_distinct_per_range = 1000),
    vendor_id text_bloom_ops (n_distinct_per_range = 1000)
) WITH (pages_per_range = 32);
