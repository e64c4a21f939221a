-- Up to where each partition is counted. Counting continues at these offsets, not at those
-- committed to Kafka.
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
COMMENT ON COLUMN ingest_offsets.next_offset IS 'Offset of the first record that is not counted yet. Moves only in the transaction that counts.';
COMMENT ON COLUMN ingest_offsets.high_watermark IS 'The end of the partition, as reported by the broker at ends_known_at.';
COMMENT ON COLUMN ingest_offsets.updated_at IS 'Also a heartbeat: an old value means that no worker is counting.';
COMMENT ON COLUMN ingest_offsets.duplicates IS 'Records that repeated an event already counted and were ignored.';
COMMENT ON COLUMN ingest_offsets.last_record_timestamp IS
    'Timestamp of the last counted record, in milliseconds as in Kafka. If the record at last_record_offset has another one, the topic was recreated.';
COMMENT ON COLUMN ingest_offsets.consumed_to IS
    'Everything below this offset is consumed. It is next_offset, or higher if offsets without countable records follow (markers, and records of aborted transactions).';
COMMENT ON COLUMN ingest_offsets.caught_up_at IS 'Everything that was in the partition at this time is counted.';

-- The topics that each group counts, as the broker reports them.
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
    'Number of partitions when the group first subscribed to the topic. KAFKA_START applies to these; later ones are counted from their beginning.';
COMMENT ON COLUMN ingest_topics.partitions IS 'Current number of partitions; 0: the topic does not exist.';
COMMENT ON COLUMN ingest_topics.topic_id IS 'Kafka''s id of the topic. If it changes, the topic was recreated.';
COMMENT ON COLUMN ingest_topics.wanted IS 'Whether the topic is one of those of the worker that started last.';

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
COMMENT ON TABLE ingest_gaps IS 'Ranges of records that were gone before they could be counted.';
COMMENT ON COLUMN ingest_gaps.to_offset IS 'The first offset after the gap. If the topic was recreated, an offset of the deleted topic.';
COMMENT ON COLUMN ingest_gaps.resumed_at IS 'The offset at which counting continued. Differs from to_offset if the topic was recreated.';
