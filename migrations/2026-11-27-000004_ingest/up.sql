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
    last_record_offset bigint,
    last_record_timestamp bigint,
    consumed_to bigint,
    ends_known_at timestamptz,
    caught_up_at timestamptz,
    PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 50);
COMMENT ON COLUMN ingest_offsets.next_offset IS 'The first offset that is not counted yet. Moves only in the transaction that counts.';
COMMENT ON COLUMN ingest_offsets.high_watermark IS 'The end of the partition, as reported by the broker at ends_known_at.';
COMMENT ON COLUMN ingest_offsets.updated_at IS 'A heartbeat too: an old one means that nobody is counting.';
COMMENT ON COLUMN ingest_offsets.duplicates IS 'Records that repeated an event already counted, and so were ignored.';
COMMENT ON COLUMN ingest_offsets.last_record_timestamp IS
    'Of the last record that was counted, in milliseconds as Kafka keeps it. If another one is found there, the topic was recreated.';
COMMENT ON COLUMN ingest_offsets.consumed_to IS
    'Everything below this offset is consumed: next_offset, or beyond it where offsets without records follow (markers and records of aborted transactions).';
COMMENT ON COLUMN ingest_offsets.caught_up_at IS 'Everything that was in the partition at this time is counted.';

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
    'How many partitions the topic had when the group first subscribed to it: KAFKA_START applies to these. Later ones are counted from their beginning.';
COMMENT ON COLUMN ingest_topics.partitions IS 'How many it has now; 0: it does not exist.';
COMMENT ON COLUMN ingest_topics.topic_id IS 'Kafka''s id of the topic: another one means that it was deleted and created again.';
COMMENT ON COLUMN ingest_topics.wanted IS 'Whether it is in the mapping of the worker that started last.';

CREATE TABLE ingest_gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_group varchar(249) NOT NULL,
    topic varchar(249) NOT NULL,
    partition integer NOT NULL,
    from_offset bigint NOT NULL,
    to_offset bigint NOT NULL,
    reason text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    resumed_at bigint
);
COMMENT ON TABLE ingest_gaps IS 'Records that were gone before they could be counted: a loss that is known, not a silent one.';
COMMENT ON COLUMN ingest_gaps.to_offset IS 'The first offset after the gap, in the log that the gap is in.';
COMMENT ON COLUMN ingest_gaps.resumed_at IS 'The offset from which counting continued: not to_offset where the topic was recreated.';
