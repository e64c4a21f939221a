-- A topic was recreated: its partitions start over, and what the deleted topic held and was not
-- counted is recorded as a gap.
WITH before AS (
    SELECT o.partition, o.log_since, o.next_offset, greatest(o.next_offset, o.high_watermark) AS ended
    FROM ingest_offsets o
    WHERE o.consumer_group = $1 AND o.topic = $2 AND greatest(o.next_offset, o.high_watermark) > 0
    ORDER BY o.partition
    FOR UPDATE
),
moved AS (
    UPDATE ingest_offsets o
    SET next_offset = 0, counted_offset = 0, consumed_to = 0, high_watermark = NULL, last_record_offset = NULL,
        last_record_timestamp = NULL, counted_timestamp = NULL, log_since = now(), log_start = 0, updated_at = now()
    FROM before b
    WHERE o.consumer_group = $1 AND o.topic = $2 AND o.partition = b.partition
),
of_log AS (
    INSERT INTO offset_ranges (consumer_group, topic, partition, log_since, from_offset, to_offset, state, reason)
    SELECT $1, $2, b.partition, b.log_since, b.next_offset, b.ended, 'gap', $3
    FROM before b
    WHERE b.next_offset < b.ended
)
INSERT INTO ingest_gaps (consumer_group, topic, partition, from_offset, to_offset, resumed_at, reason)
SELECT $1, $2, b.partition, b.next_offset, b.ended, 0, $3 FROM before b
