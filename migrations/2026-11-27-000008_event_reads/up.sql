-- What admins ask about events and orders: which events have a value in their payload, what arrived
-- when, and what became of an order.

-- Indexes that operators add for a field of the payload. Partitions whose days are over have them;
-- the one into which events stream has not, so that ingest is not slowed down.
CREATE TABLE metadata_indexes (
    number smallint PRIMARY KEY CHECK (number BETWEEN 1 AND 8),
    path varchar(100) COLLATE "C" NOT NULL,
    event_type varchar(100) COLLATE "C",
    state varchar(10) COLLATE "C" NOT NULL DEFAULT 'building' CHECK (state IN ('building', 'ready', 'dropping')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX metadata_indexes_path ON metadata_indexes (path, coalesce(event_type, ''));
COMMENT ON TABLE metadata_indexes IS
    'Fields of event_logs.metadata by which `analytics-jobs metadata-index` indexes the event log.';
COMMENT ON COLUMN metadata_indexes.number IS 'The end of the names of its indexes: event_logs_2026_11_01_metadata_1.';
COMMENT ON COLUMN metadata_indexes.path IS 'The names of the field and of the objects around it, separated by dots.';
COMMENT ON COLUMN metadata_indexes.event_type IS 'Only events of this type are indexed. NULL: all.';
COMMENT ON COLUMN metadata_indexes.state IS
    'building: not on every quiet partition yet; ready: reads rely on it; dropping: its indexes are being dropped.';

-- How many records arrived, and what became of them. Written with the stored offset of their
-- partition, by the worker that owns it: two writers never wait for each other's rows.
CREATE TABLE arrivals (
    hour timestamptz NOT NULL,
    topic varchar(249) COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    outcome varchar(40) COLLATE "C" NOT NULL,
    records bigint NOT NULL,
    PRIMARY KEY (hour, topic, partition, outcome)
) WITH (fillfactor = 50);
COMMENT ON TABLE arrivals IS 'What became of the records of each partition, by the hour in which they were read from Kafka and counted.';
COMMENT ON COLUMN arrivals.hour IS 'Start of the hour of the clock of BUSINESS_TIMEZONE, by the database''s clock.';
COMMENT ON COLUMN arrivals.outcome IS 'event: counted; duplicate: repeated a known event; or the reason of its dead letter.';

-- By the key of their order, dead letters are found without reading all of them.
ALTER TABLE dead_letters ADD COLUMN order_key uuid;
CREATE INDEX dead_letters_order ON dead_letters (order_key) WHERE order_key IS NOT NULL;
COMMENT ON COLUMN dead_letters.order_key IS
    'The key in event_keys of the order that the record is about. NULL: not an order, or its id could not be read.';

ALTER TABLE event_keys
    ADD COLUMN repeats integer NOT NULL DEFAULT 0,
    ADD COLUMN repeated_at timestamptz;
COMMENT ON COLUMN event_keys.repeats IS
    'For the key of an order: how many more records had the same content, and were ignored as duplicates.';
COMMENT ON COLUMN event_keys.repeated_at IS 'When the last of them arrived.';
