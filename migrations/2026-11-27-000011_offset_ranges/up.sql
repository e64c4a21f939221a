-- What ingest was given of each range of offsets, so that the audit can compare it with what Kafka holds.
-- A batch keeps it for its own range, in the transaction that moves next_offset; the fold adds it to the
-- range before it.
ALTER TABLE batches
    ADD COLUMN ends bigint[],
    ADD COLUMN delivered bigint[],
    ADD COLUMN digests numeric[],
    ADD COLUMN logs timestamptz[];
COMMENT ON COLUMN batches.ends IS
    'For each of its partitions, the offset after its range. NULL once it is counted, like the next three.';
COMMENT ON COLUMN batches.delivered IS 'For each of its partitions, how many records of the range were counted, ignored or rejected.';
COMMENT ON COLUMN batches.digests IS 'For each of its partitions, the digest of these records: see offset_ranges.digest.';
COMMENT ON COLUMN batches.logs IS 'For each of its partitions, ingest_offsets.log_since.';

ALTER TABLE ingest_offsets
    ADD COLUMN log_since timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN log_start bigint NOT NULL DEFAULT 0;
UPDATE ingest_offsets SET log_start = next_offset;
COMMENT ON COLUMN ingest_offsets.log_since IS
    'Since when the partition''s present log is counted. Changes if the topic is recreated: offsets of another log are other records.';
COMMENT ON COLUMN ingest_offsets.log_start IS
    'From this offset of the present log on, every offset is in a range of offset_ranges.';

CREATE TABLE offset_ranges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_group varchar(249) COLLATE "C" NOT NULL,
    topic varchar(249) COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    log_since timestamptz NOT NULL,
    from_offset bigint NOT NULL,
    to_offset bigint NOT NULL CHECK (to_offset >= from_offset),
    records bigint NOT NULL DEFAULT 0,
    digest numeric(39) NOT NULL DEFAULT 0,
    first_logged_at timestamptz NOT NULL DEFAULT now(),
    last_logged_at timestamptz NOT NULL DEFAULT now(),
    is_open boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'equal', 'different', 'settled', 'accepted', 'gone', 'gap')),
    reason text,
    audited_at timestamptz,
    found_records bigint,
    found_digest numeric(39),
    settled_to bigint
) WITH (fillfactor = 70);
COMMENT ON TABLE offset_ranges IS
    'Ranges of offsets with what ingest was given of them. The audit reads them from Kafka once more, and compares.';
COMMENT ON COLUMN offset_ranges.log_since IS 'The log that the offsets are of: see ingest_offsets.log_since.';
COMMENT ON COLUMN offset_ranges.to_offset IS 'The first offset after the range.';
COMMENT ON COLUMN offset_ranges.digest IS
    'The sum, modulo 2^128, of a hash of each record''s offset, timestamp and payload. Digests of ranges add up to the digest of all of them.';
COMMENT ON COLUMN offset_ranges.is_open IS 'Whether the fold may extend it.';
COMMENT ON COLUMN offset_ranges.state IS
    'waiting: not audited yet. equal: Kafka held the same records. different: it did not. settled: different, and read again since. accepted: different, and an operator accepted it. gone: Kafka held it no longer when it was to be audited. gap: ingest never had it, and knows why.';
COMMENT ON COLUMN offset_ranges.reason IS 'Why it is different, gone or a gap.';
COMMENT ON COLUMN offset_ranges.found_records IS 'If different: how many records Kafka held.';
COMMENT ON COLUMN offset_ranges.settled_to IS
    'If different: up to this offset it was read again since, and found equal.';
CREATE INDEX offset_ranges_by_partition ON offset_ranges (consumer_group, topic, partition, to_offset);
CREATE INDEX offset_ranges_waiting ON offset_ranges (consumer_group, topic, partition, id) WHERE state = 'waiting';

ALTER TABLE proofs ADD COLUMN coverage jsonb;
COMMENT ON COLUMN proofs.coverage IS
    'What is known of how the counted records compare with those that Kafka held. NULL: a proof of an earlier version.';

-- Older programs count without keeping the ranges.
UPDATE schema_compatibility SET oldest_program = '20261127000011';
