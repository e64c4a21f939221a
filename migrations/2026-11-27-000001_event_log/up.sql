-- The settings that the numbers depend on. They must never change.
CREATE TABLE service_settings (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    base_currency varchar(3) NOT NULL,
    business_timezone text NOT NULL
);
COMMENT ON TABLE service_settings IS
    'Written once, when the database is first migrated. A process that is started with other values refuses to run.';

-- The rules of BUSINESS_TIMEZONE. Every process and the view metric_rollups derive days and hours
-- from these rows: no number depends on the version of the tz database that a program or PostgreSQL
-- has.
CREATE TABLE business_clock (
    starts_at timestamptz PRIMARY KEY,
    utc_offset integer NOT NULL
);
COMMENT ON TABLE business_clock IS
    'From starts_at on, the local clock is ahead of UTC by utc_offset. Rows in the past never change.';
COMMENT ON COLUMN business_clock.utc_offset IS 'In seconds.';

-- Which programs work with this schema. A migration that older programs cannot work with raises the
-- version.
CREATE TABLE schema_compatibility (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_program varchar(50) NOT NULL
);
COMMENT ON TABLE schema_compatibility IS 'Read by every process at startup and while it runs.';
COMMENT ON COLUMN schema_compatibility.oldest_program IS
    'The schema version of the oldest programs that work with this schema. Older programs refuse to run.';
INSERT INTO schema_compatibility (oldest_program) VALUES ('20261127000006');

-- Every transaction that logs events or changes numbers is a batch. Its id is drawn before it is
-- known when it will be committed. Its number is its position in the order in which batches were
-- counted.
CREATE SEQUENCE batch_ids;
CREATE TABLE batches (
    id bigint PRIMARY KEY,
    number bigint UNIQUE,
    kind varchar(20) COLLATE "C" NOT NULL
        CHECK (kind IN ('ingest', 'replay', 'adjustment', 'reattribution', 'repair')),
    counted_at timestamptz
);
COMMENT ON TABLE batches IS 'Transactions that logged events or changed numbers, in the order in which they were counted.';
COMMENT ON COLUMN batches.id IS 'From batch_ids. Not in the order of counting, and with gaps.';
COMMENT ON COLUMN batches.number IS 'From 1, without gaps. NULL: logged, not counted yet.';
CREATE INDEX batches_reattribution ON batches (number) WHERE kind = 'reattribution';

CREATE TABLE watermark (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number bigint NOT NULL
) WITH (fillfactor = 10);
COMMENT ON TABLE watermark IS
    'The number of the last batch that is counted. Every read sees the batches up to it, and nothing else.';
INSERT INTO watermark (number) VALUES (0);

-- Every event that was counted, and every event of an extra topic.
CREATE TABLE event_logs (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    batch_id bigint NOT NULL,
    seal bigint NOT NULL,
    rules_version smallint NOT NULL,
    stars smallint CHECK (stars BETWEEN 1 AND 5),
    vendor_learned boolean NOT NULL DEFAULT false,
    event_type varchar(100) COLLATE "C" NOT NULL,
    user_id varchar(255) COLLATE "C",
    product_id varchar(64) COLLATE "C",
    vendor_id varchar(64) COLLATE "C",
    metadata jsonb,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
COMMENT ON TABLE event_logs IS
    'The event log. Ids begin with 48 bits of the event time in milliseconds, so partitions by id are partitions by time.';
COMMENT ON COLUMN event_logs.id IS 'Derived from the event''s time and identity: the same record always gets the same id.';
COMMENT ON COLUMN event_logs.created_at IS 'When the event happened; ingested_at is when it was logged.';
COMMENT ON COLUMN event_logs.batch_id IS 'The batch that logged it: batches.id.';
COMMENT ON COLUMN event_logs.seal IS
    'A checksum over what was decided about the event. It no longer matches if only the event in the log is changed.';
COMMENT ON COLUMN event_logs.rules_version IS 'The version of the counting rules that were applied.';
COMMENT ON COLUMN event_logs.vendor_learned IS 'The event named no vendor; vendor_id was taken from other events about the product.';
COMMENT ON COLUMN event_logs.vendor_id IS 'The vendor of a view or a rating. The lines of an order have their own in order_lines.';
COMMENT ON COLUMN event_logs.metadata IS 'The payload, without the fields that REDACT_FIELDS names.';

-- A partition into which events stream has small indexes. It gets b-trees by user, product and
-- vendor once it is quiet (`analytics-jobs partitions`). Measured: two b-trees by product and
-- vendor and one by type took 60 % of the time of logging an event.
-- A range of 8 pages holds some 200 events. A query that also selects by id only has to look into
-- the ranges of that time. The filters of a range must fit on one page, or inserts fail: those for
-- 300 distinct values take 0.4 kB. Batch ids follow the order of insertion, so the events of a
-- batch are in few ranges.
CREATE INDEX event_logs_subject ON event_logs USING brin (
    id,
    batch_id,
    user_id text_bloom_ops (n_distinct_per_range = 300),
    product_id text_bloom_ops (n_distinct_per_range = 300),
    vendor_id text_bloom_ops (n_distinct_per_range = 300)
) WITH (pages_per_range = 8);
-- No entries for views, which are most of all events: a list of views reads the log itself.
CREATE INDEX event_logs_type ON event_logs (event_type, id) WHERE event_type <> 'product.viewed';
-- Ratings are few among the events of a product, and the rating that another one replaced is found
-- by its user.
CREATE INDEX event_logs_rating_user ON event_logs (user_id, id) WHERE event_type = 'rating.updated';
CREATE INDEX event_logs_rating_product ON event_logs (product_id, id) WHERE event_type = 'rating.updated';
CREATE INDEX event_logs_rating_vendor ON event_logs (vendor_id, id) WHERE event_type = 'rating.updated';
CREATE INDEX event_logs_adjustment ON event_logs ((metadata ->> 'type'), id) WHERE event_type = 'metric.adjusted';
-- The planner decides by how frequent a user, product or vendor is.
ALTER TABLE event_logs
    ALTER COLUMN user_id SET STATISTICS 300,
    ALTER COLUMN product_id SET STATISTICS 300,
    ALTER COLUMN vendor_id SET STATISTICS 300;

-- Takes events outside the ranges of all other partitions: an old event never stops counting.
CREATE TABLE event_logs_default PARTITION OF event_logs DEFAULT;

CREATE TABLE order_lines (
    event_id uuid NOT NULL,
    amount bigint NOT NULL CHECK (amount BETWEEN 0 AND 1000000000000),
    line integer NOT NULL,
    quantity integer NOT NULL CHECK (quantity BETWEEN 0 AND 1000000),
    vendor_learned boolean NOT NULL DEFAULT false,
    currency varchar(3) COLLATE "C" NOT NULL,
    product_id varchar(64) COLLATE "C",
    vendor_id varchar(64) COLLATE "C",
    PRIMARY KEY (event_id, line)
) PARTITION BY RANGE (event_id);
COMMENT ON TABLE order_lines IS 'What was decided about each line of each order in event_logs.';
COMMENT ON COLUMN order_lines.line IS 'Its position in the order, from 1.';
COMMENT ON COLUMN order_lines.amount IS 'Gross amount, in minor units of the currency.';

CREATE INDEX order_lines_subject ON order_lines USING brin (
    event_id,
    product_id text_bloom_ops (n_distinct_per_range = 600),
    vendor_id text_bloom_ops (n_distinct_per_range = 600),
    currency text_bloom_ops (n_distinct_per_range = 20)
) WITH (pages_per_range = 8);
ALTER TABLE order_lines
    ALTER COLUMN product_id SET STATISTICS 300,
    ALTER COLUMN vendor_id SET STATISTICS 300;

CREATE TABLE order_lines_default PARTITION OF order_lines DEFAULT;
