-- How far each partition is counted. This, not Kafka's own offsets, is the truth.
CREATE TABLE ingest_offsets (
    consumer_group varchar(249) COLLATE "C" NOT NULL,
    topic varchar(249) COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    high_watermark bigint,
    last_event_time timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    events bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 50);
COMMENT ON COLUMN ingest_offsets.next_offset IS 'The first offset that is not counted yet. Moves only in the transaction that counts.';
COMMENT ON COLUMN ingest_offsets.updated_at IS 'A heartbeat too: an old one means that nobody is counting.';
COMMENT ON COLUMN ingest_offsets.duplicates IS 'Records that repeated an event already counted, and so were ignored.';

CREATE TABLE ingest_gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_group varchar(249) NOT NULL,
    topic varchar(249) NOT NULL,
    partition integer NOT NULL,
    from_offset bigint NOT NULL,
    to_offset bigint NOT NULL,
    reason text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ingest_gaps IS 'Records that were gone before they could be counted: a loss that is known, not a silent one.';

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
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE dead_letters IS 'Records that could not be counted, with their original bytes.';
COMMENT ON COLUMN dead_letters.id IS 'Made from the record''s place and timestamp: read again, it is the same dead letter.';
COMMENT ON COLUMN dead_letters.detail IS 'A sentence that names the field.';
CREATE INDEX dead_letters_reason ON dead_letters (reason, id);
