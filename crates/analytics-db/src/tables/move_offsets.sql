-- The fence. Each stored offset moves only if it is where the writer expects it. The caller
-- compares the number of updated rows with the number of partitions in its batch.
UPDATE ingest_offsets AS o
SET next_offset = s.next_offset,
    high_watermark = greatest(coalesce(s.high_watermark, o.high_watermark), s.next_offset),
    ends_known_at = greatest(o.ends_known_at, now() - make_interval(secs => s.end_age)),
    consumed_to = greatest(s.consumed_to, s.next_offset),
    last_record_offset = s.next_offset - 1,
    last_record_timestamp = s.last_record_timestamp,
    updated_at = now(),
    events = o.events + s.events,
    duplicates = o.duplicates + s.duplicates,
    rejected = o.rejected + s.rejected
FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS s (
    topic, partition, expected, next_offset, high_watermark, end_age, consumed_to, events, duplicates, rejected,
    last_record_timestamp
)
WHERE o.consumer_group = $1
    AND o.topic = s.topic
    AND o.partition = s.partition
    AND o.next_offset = s.expected
