-- A partition that events stream into has small indexes, and gets btrees by user, product and
-- vendor once it is quiet (`analytics-jobs partitions`). Measured: two btrees by product and vendor
-- and one by type took 60 % of the time that logging an event takes.
DROP INDEX event_logs_type;
DROP INDEX event_logs_user;
DROP INDEX event_logs_product;
DROP INDEX event_logs_vendor;
DROP INDEX order_lines_product;
DROP INDEX order_lines_vendor;
DROP INDEX order_lines_currency;

-- A range of 8 pages holds some 200 events. What is asked for by id as well leaves only the ranges of
-- that time to look into. A range's filters must fit one page, or inserts fail: 300 distinct values
-- take 0.4 kB.
CREATE INDEX event_logs_subject ON event_logs USING brin (
    id,
    user_id text_bloom_ops (n_distinct_per_range = 300),
    product_id text_bloom_ops (n_distinct_per_range = 300),
    vendor_id text_bloom_ops (n_distinct_per_range = 300)
) WITH (pages_per_range = 8);
CREATE INDEX order_lines_subject ON order_lines USING brin (
    event_id,
    product_id text_bloom_ops (n_distinct_per_range = 600),
    vendor_id text_bloom_ops (n_distinct_per_range = 600),
    currency text_bloom_ops (n_distinct_per_range = 20)
) WITH (pages_per_range = 8);

-- Views are most of all events: the log itself is the list of them.
CREATE INDEX event_logs_type ON event_logs (event_type, id) WHERE event_type <> 'product.viewed';

-- How rare a user, product or vendor is decides how its events are found.
ALTER TABLE event_logs
    ALTER COLUMN user_id SET STATISTICS 300,
    ALTER COLUMN product_id SET STATISTICS 300,
    ALTER COLUMN vendor_id SET STATISTICS 300;
ALTER TABLE order_lines
    ALTER COLUMN product_id SET STATISTICS 300,
    ALTER COLUMN vendor_id SET STATISTICS 300;
