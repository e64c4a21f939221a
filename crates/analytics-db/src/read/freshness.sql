-- For each counted topic: a row for each of its partitions that has been reported, or one row
-- without a partition. Rows left behind by other groups, retired topics and removed partitions are
-- ignored.
WITH topics AS (
    SELECT DISTINCT ON (t.topic) t.topic, t.partitions, t.optional
    FROM ingest_topics t
    WHERE t.wanted
    ORDER BY t.topic, t.updated_at DESC
),
partitions AS (
    SELECT DISTINCT ON (o.topic, o.partition)
        o.topic, o.partition, o.last_event_time, o.updated_at, o.ends_known_at, o.caught_up_at, o.counted_timestamp,
        greatest(o.high_watermark - CASE
            WHEN o.counted_offset < o.next_offset THEN o.counted_offset
            ELSE greatest(o.next_offset, o.consumed_to)
        END, 0) AS lag_messages
    FROM ingest_offsets o
    ORDER BY o.topic, o.partition, o.updated_at DESC
)
SELECT t.topic, t.partitions, t.optional, p.last_event_time, p.lag_messages, p.updated_at AS heard_at, p.ends_known_at,
    p.caught_up_at, p.counted_timestamp
FROM topics t
LEFT JOIN partitions p ON p.topic = t.topic AND p.partition < t.partitions
ORDER BY t.topic, p.partition
