-- Which programs work with this schema. A migration that older programs cannot live with raises it.
CREATE TABLE schema_compatibility (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_program varchar(50) NOT NULL
);
COMMENT ON TABLE schema_compatibility IS 'Read by every process at its start and while it runs.';
COMMENT ON COLUMN schema_compatibility.oldest_program IS
    'The schema of the oldest programs that work with this one. Older programs refuse to run.';
INSERT INTO schema_compatibility (oldest_program) VALUES ('20261125000010');

-- The topics that each group counts, as the broker has them.
CREATE TABLE ingest_topics (
    consumer_group varchar(249) COLLATE "C" NOT NULL,
    topic varchar(249) COLLATE "C" NOT NULL,
    partitions_at_first integer NOT NULL,
    partitions integer NOT NULL,
    topic_id text,
    wanted boolean NOT NULL DEFAULT true,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic)
);
COMMENT ON COLUMN ingest_topics.partitions_at_first IS
    'How many partitions the topic had when the group first asked for it: KAFKA_START is for these. Later ones are counted from their beginning.';
COMMENT ON COLUMN ingest_topics.partitions IS 'How many it has now; 0: it does not exist.';
COMMENT ON COLUMN ingest_topics.topic_id IS 'Kafka''s id of the topic: another one means that it was deleted and made again.';
COMMENT ON COLUMN ingest_topics.wanted IS 'Whether it is in the mapping of the worker that started last.';

ALTER TABLE ingest_offsets
    ADD COLUMN consumed_to bigint,
    ADD COLUMN ends_known_at timestamptz,
    ADD COLUMN caught_up_at timestamptz;
COMMENT ON COLUMN ingest_offsets.high_watermark IS 'The end of the partition as the broker told it at ends_known_at.';
COMMENT ON COLUMN ingest_offsets.consumed_to IS
    'All below this offset is consumed: next_offset, or beyond it where offsets without records follow (markers and records of aborted transactions).';
COMMENT ON COLUMN ingest_offsets.caught_up_at IS 'Everything that was in the partition at this time is counted.';

ALTER TABLE ingest_gaps ADD COLUMN resumed_at bigint;
COMMENT ON COLUMN ingest_gaps.to_offset IS 'The first offset after the gap, in the log that the gap is in.';
COMMENT ON COLUMN ingest_gaps.resumed_at IS 'Where counting went on: elsewhere than at to_offset where the topic was made again.';

-- What a dead letter keeps of its record.
ALTER TABLE dead_letters
    ADD COLUMN redacted boolean NOT NULL DEFAULT false,
    ADD COLUMN replayed_at timestamptz;
UPDATE dead_letters SET replayed_at = now() WHERE state = 'replayed';
COMMENT ON COLUMN dead_letters.redacted IS 'REDACT_FIELDS were removed from the payload.';
COMMENT ON COLUMN dead_letters.replayed_at IS
    'When its event was counted. The place of the record stays known for DEDUPE_DAYS after it, also when the letter is purged.';

-- A flood of dead letters past DEAD_LETTER_MAX_TOTAL_BYTES is counted here instead of being kept.
CREATE TABLE dead_letter_overflow (
    topic varchar(249) COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    reason varchar(40) COLLATE "C" NOT NULL,
    hour timestamptz NOT NULL,
    first_offset bigint NOT NULL,
    last_offset bigint NOT NULL,
    letters bigint NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (topic, partition, reason, hour)
);
COMMENT ON TABLE dead_letter_overflow IS
    'Records that were refused while dead_letters was full. They can be read again by setting the offset back.';
COMMENT ON COLUMN dead_letter_overflow.detail IS 'The sentence of the first of them.';

-- How much dead_letters holds, kept right by the database itself.
ALTER TABLE dead_letters ADD COLUMN kept_bytes bigint NOT NULL GENERATED ALWAYS AS (
    500 + coalesce(octet_length(payload), 0) + coalesce(octet_length(key), 0) + octet_length(headers::text)) STORED;
COMMENT ON COLUMN dead_letters.kept_bytes IS 'What the letter takes: its contents, and about 500 bytes besides.';

CREATE TABLE dead_letter_usage (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    bytes bigint NOT NULL
);
COMMENT ON TABLE dead_letter_usage IS 'The sum of dead_letters.kept_bytes.';
INSERT INTO dead_letter_usage (bytes) SELECT coalesce(sum(kept_bytes), 0) FROM dead_letters;

CREATE FUNCTION note_dead_letter_usage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change bigint := 0;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE dead_letter_usage SET bytes = 0;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        change := (SELECT coalesce(sum(n.kept_bytes), 0) FROM new_letters n);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        change := change - (SELECT coalesce(sum(o.kept_bytes), 0) FROM old_letters o);
    END IF;
    -- Whoever only settles letters must not wait for whoever writes some.
    IF change <> 0 THEN
        UPDATE dead_letter_usage SET bytes = bytes + change;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER dead_letters_inserted AFTER INSERT ON dead_letters
    REFERENCING NEW TABLE AS new_letters FOR EACH STATEMENT EXECUTE FUNCTION note_dead_letter_usage();
CREATE TRIGGER dead_letters_updated AFTER UPDATE ON dead_letters
    REFERENCING OLD TABLE AS old_letters NEW TABLE AS new_letters
    FOR EACH STATEMENT EXECUTE FUNCTION note_dead_letter_usage();
CREATE TRIGGER dead_letters_truncated AFTER TRUNCATE ON dead_letters
    FOR EACH STATEMENT EXECUTE FUNCTION note_dead_letter_usage();
CREATE TRIGGER dead_letters_deleted AFTER DELETE ON dead_letters
    REFERENCING OLD TABLE AS old_letters FOR EACH STATEMENT EXECUTE FUNCTION note_dead_letter_usage();
