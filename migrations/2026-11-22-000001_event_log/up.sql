-- What the numbers depend on and may never change under them.
CREATE TABLE service_settings (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    base_currency varchar(3) NOT NULL,
    business_timezone text NOT NULL
);
COMMENT ON TABLE service_settings IS
    'Written once, at the first migration. A process that is started with other values refuses.';

-- Every event that was counted, and every event of an extra topic.
CREATE TABLE event_logs (
    id uuid NOT NULL,
    event_type varchar(100) COLLATE "C" NOT NULL,
    user_id varchar(255) COLLATE "C",
    metadata jsonb,
    created_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    rules_version smallint NOT NULL,
    product_id varchar(64) COLLATE "C",
    vendor_id varchar(64) COLLATE "C",
    vendor_learned boolean NOT NULL DEFAULT false,
    stars smallint CHECK (stars BETWEEN 1 AND 5),
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
COMMENT ON TABLE event_logs IS
    'The event log. Ids begin with 48 bits of the event time in milliseconds, so partitions by id are partitions by time.';
COMMENT ON COLUMN event_logs.id IS 'Made from the event''s time and identity: the same record always gets the same id.';
COMMENT ON COLUMN event_logs.metadata IS 'The payload, without the fields that REDACT_FIELDS names.';
COMMENT ON COLUMN event_logs.created_at IS 'When it happened; ingested_at is when it was counted.';
COMMENT ON COLUMN event_logs.rules_version IS 'The version of the counting rules that decided the columns after this one.';
COMMENT ON COLUMN event_logs.vendor_id IS 'Of a view or a rating. The lines of an order have their own, in order_lines.';
COMMENT ON COLUMN event_logs.vendor_learned IS 'The event named no vendor; it was learned from earlier events about the product.';

CREATE INDEX event_logs_type ON event_logs (event_type, id);
-- A btree on each of these would cost more than the table itself while events stream in. A
-- range's three filters must fit one page, or inserts fail: 1000 distinct values take 1.2 kB, and
-- 32 pages hold about that many events.
CREATE INDEX event_logs_subject ON event_logs USING brin (
    user_id text_bloom_ops (n_distinct_per_range = 1000),
    product_id text_bloom_ops (n_distinct_per_range = 1000),
    vendor_id text_bloom_ops (n_distinct_per_range = 1000)
) WITH (pages_per_range = 32);

-- Whatever no monthly partition takes: an old event never stops the counting.
CREATE TABLE event_logs_default PARTITION OF event_logs DEFAULT;

CREATE TABLE order_lines (
    event_id uuid NOT NULL,
    line integer NOT NULL,
    product_id varchar(64) COLLATE "C",
    vendor_id varchar(64) COLLATE "C",
    vendor_learned boolean NOT NULL DEFAULT false,
    quantity integer NOT NULL CHECK (quantity BETWEEN 0 AND 1000000),
    amount bigint NOT NULL CHECK (amount BETWEEN 0 AND 1000000000000),
    currency varchar(3) COLLATE "C" NOT NULL,
    PRIMARY KEY (event_id, line)
) PARTITION BY RANGE (event_id);
COMMENT ON TABLE order_lines IS 'What was decided about each line of each order in event_logs.';
COMMENT ON COLUMN order_lines.line IS 'Its place in the order, from 1.';
COMMENT ON COLUMN order_lines.amount IS 'Gross, in minor units of the currency.';

CREATE INDEX order_lines_subject ON order_lines USING brin (
    product_id text_bloom_ops (n_distinct_per_range = 2000),
    vendor_id text_bloom_ops (n_distinct_per_range = 2000)
) WITH (pages_per_range = 32);

CREATE TABLE order_lines_default PARTITION OF order_lines DEFAULT;
