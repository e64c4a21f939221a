-- A batch logs its events and keeps what they add to the numbers as one value. The fold adds the
-- values of many batches at once.
ALTER TABLE batches
    ADD COLUMN logged_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN records integer NOT NULL DEFAULT 0,
    ADD COLUMN weight integer NOT NULL DEFAULT 0,
    ADD COLUMN format smallint,
    ADD COLUMN deltas bytea,
    ADD COLUMN learned bytea,
    ADD COLUMN partitions text[],
    ADD COLUMN starts bigint[];
-- The values are read once, and written as they are: compressing them would take longer.
ALTER TABLE batches ALTER COLUMN deltas SET STORAGE EXTERNAL, ALTER COLUMN learned SET STORAGE EXTERNAL;
COMMENT ON COLUMN batches.logged_at IS 'The start of the transaction that logged it; counted_at is when its number was given.';
COMMENT ON COLUMN batches.records IS 'Number of records that it took from Kafka.';
COMMENT ON COLUMN batches.weight IS 'About how many rows its deltas are.';
COMMENT ON COLUMN batches.format IS 'The format of deltas and learned. A process leaves a newer format to a newer process.';
COMMENT ON COLUMN batches.deltas IS 'What it adds to the numbers. NULL once it is counted.';
COMMENT ON COLUMN batches.learned IS 'The vendors of products that its events name. NULL once it is counted.';
COMMENT ON COLUMN batches.partitions IS
    'The partitions of its records, as group/topic/partition. NULL once it is counted.';
COMMENT ON COLUMN batches.starts IS 'For each of these, the offset where its records begin. NULL once it is counted.';
CREATE INDEX batches_waiting ON batches (id) WHERE number IS NULL;

ALTER TABLE ingest_offsets
    ADD COLUMN counted_offset bigint NOT NULL DEFAULT 0,
    ADD COLUMN counted_timestamp bigint;
UPDATE ingest_offsets SET counted_offset = next_offset, counted_timestamp = last_record_timestamp;
COMMENT ON COLUMN ingest_offsets.next_offset IS
    'Offset of the first record that is not logged yet. Moves only in the transaction that logs.';
COMMENT ON COLUMN ingest_offsets.counted_offset IS
    'Offset of the first record that the numbers do not include yet. Moves only in the transaction that counts.';
COMMENT ON COLUMN ingest_offsets.counted_timestamp IS
    'Timestamp of the last record that the numbers include, in milliseconds as in Kafka.';

-- What is logged never keeps the rest from being counted: a sum past the range is stored as
-- 9223372036854775807 or -9223372036854775807, stays so whatever is added, and is read as unknown.
CREATE FUNCTION stored_sum(sum numeric) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN least(greatest(sum, -9223372036854775807), 9223372036854775807)::bigint;
COMMENT ON FUNCTION stored_sum IS 'The sum as it is stored, or 9223372036854775807 or -9223372036854775807 if it is past the range.';
CREATE FUNCTION saturating_add(a bigint, b bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN a IS NULL OR b IS NULL THEN NULL
        WHEN a BETWEEN -4611686018427387904 AND 4611686018427387903
            AND b BETWEEN -4611686018427387904 AND 4611686018427387903
        THEN a + b
        WHEN a NOT BETWEEN -9223372036854775806 AND 9223372036854775806 THEN a
        WHEN b NOT BETWEEN -9223372036854775806 AND 9223372036854775806 THEN b
        ELSE stored_sum(a::numeric + b)
    END;
COMMENT ON FUNCTION saturating_add IS 'Adds two stored sums. NULL if one is NULL.';

-- A ratio of a sum past the range is not known.
CREATE OR REPLACE FUNCTION metric_ratio(numerator bigint, denominator bigint, scale bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN denominator = 0 THEN NULL
        WHEN numerator NOT BETWEEN -9223372036854775806 AND 9223372036854775806
            OR denominator NOT BETWEEN -9223372036854775806 AND 9223372036854775806
        THEN NULL
        WHEN numerator BETWEEN -100000000000000 AND 100000000000000
            AND denominator BETWEEN -100000000000000 AND 100000000000000
        THEN (numerator * scale * 2 + denominator) / (denominator * 2)
        WHEN abs(div(numerator::numeric * scale * 2 + denominator, denominator::numeric * 2)) < 9223372036854775808
        THEN div(numerator::numeric * scale * 2 + denominator, denominator::numeric * 2)::bigint
    END;

-- Metrics are found by their types. An index on ids would be a sixth of the cost of counting a new metric.
ALTER TABLE metrics DROP CONSTRAINT metrics_pkey, DROP CONSTRAINT metrics_type_key, ADD PRIMARY KEY (type);
ALTER TABLE metrics SET (fillfactor = 50);
COMMENT ON COLUMN metrics.value IS
    'Counters: the sum. Rates: in basis points. Averages: times 100. NULL: a rate without a denominator. 9223372036854775807 or -9223372036854775807: a sum past the range.';

-- Older programs neither fold nor read the vendors that waiting batches name.
UPDATE schema_compatibility SET oldest_program = '20261127000009';
