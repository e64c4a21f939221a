ALTER TABLE ingest_offsets
    ADD COLUMN last_record_offset bigint,
    ADD COLUMN last_record_timestamp bigint;
COMMENT ON COLUMN ingest_offsets.last_record_timestamp IS
    'Of the last record that was counted, in milliseconds as Kafka keeps it. If another one stands there, the topic was made again.';
