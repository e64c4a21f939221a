-- Records that could not be counted. Limited in size; can be replayed or discarded, which is
-- recorded with who did it.
CREATE TABLE dead_letters (
    id uuid PRIMARY KEY,
    topic varchar(249) COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    record_timestamp timestamptz,
    key bytea,
    headers jsonb NOT NULL,
    payload bytea,
    reason varchar(40) COLLATE "C" NOT NULL,
    detail text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    state varchar(10) COLLATE "C" NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'discarded')),
    payload_bytes bigint,
    redacted boolean NOT NULL DEFAULT false,
    replayed_at timestamptz,
    kept_bytes bigint NOT NULL GENERATED ALWAYS AS (
        500 + coalesce(octet_length(payload), 0) + coalesce(octet_length(key), 0) + octet_length(headers::text)) STORED
);
COMMENT ON TABLE dead_letters IS 'Records that could not be counted, with their original bytes.';
COMMENT ON COLUMN dead_letters.id IS 'Derived from the record''s place and timestamp: a record that is read again is the same dead letter.';
COMMENT ON COLUMN dead_letters.detail IS 'A sentence that names the field.';
COMMENT ON COLUMN dead_letters.state IS
    'replayed: the record''s event is counted; discarded: it is not to be counted, its payload and key are deleted.';
COMMENT ON COLUMN dead_letters.payload_bytes IS
    'Size of the record''s payload; larger than payload if that was cut by DEAD_LETTER_MAX_BYTES. NULL: a tombstone.';
COMMENT ON COLUMN dead_letters.redacted IS 'REDACT_FIELDS were removed from the payload.';
COMMENT ON COLUMN dead_letters.replayed_at IS
    'When its event was counted. The place of the record stays known for DEDUPE_DAYS after that, even if the letter is purged.';
COMMENT ON COLUMN dead_letters.kept_bytes IS 'Size of the letter in bytes: its contents, and about 500 bytes of overhead.';

CREATE INDEX dead_letters_reason ON dead_letters (reason, id);
CREATE INDEX dead_letters_open ON dead_letters (reason, created_at) WHERE state = 'open';
CREATE INDEX dead_letters_topic ON dead_letters (topic, id);
CREATE INDEX dead_letters_place ON dead_letters (topic, partition, "offset");
CREATE INDEX dead_letters_created ON dead_letters (created_at);

CREATE TABLE dead_letter_actions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dead_letter_id uuid NOT NULL REFERENCES dead_letters ON DELETE CASCADE,
    action varchar(10) COLLATE "C" NOT NULL CHECK (action IN ('replay', 'discard', 'reread')),
    acted_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    result varchar(10) COLLATE "C" NOT NULL CHECK (result IN ('counted', 'duplicate', 'rejected', 'discarded')),
    event_id uuid,
    detail text,
    corrected bytea
);
COMMENT ON TABLE dead_letter_actions IS 'Actions on dead letters: who did what and when, and the result.';
COMMENT ON COLUMN dead_letter_actions.action IS 'reread: ingest read the record again, and it is counted now.';
COMMENT ON COLUMN dead_letter_actions.corrected IS 'The payload that was counted instead of the original, if one was given.';
CREATE INDEX dead_letter_actions_letter ON dead_letter_actions (dead_letter_id, id);

-- Rejected records beyond DEAD_LETTER_MAX_TOTAL_BYTES are counted here instead of being kept.
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
    'Records that were rejected while dead_letters was full. They can be read again by resetting the stored offset to an earlier one.';
COMMENT ON COLUMN dead_letter_overflow.detail IS 'The detail of the first of them.';

-- The total size of dead_letters, maintained by triggers.
CREATE TABLE dead_letter_usage (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    bytes bigint NOT NULL
);
COMMENT ON TABLE dead_letter_usage IS 'The sum of dead_letters.kept_bytes.';
INSERT INTO dead_letter_usage (bytes) VALUES (0);

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
    -- Without a change in size the row is not locked: settling letters must not wait for
    -- transactions that write some.
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
