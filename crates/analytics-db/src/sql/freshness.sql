-- Per topic: the latest word of each partition, and the oldest of those words.
SELECT p.topic,
    max(p.last_event_time) AS last_event_time,
    sum(greatest(coalesce(p.high_watermark, p.next_offset) - p.next_offset, 0))::bigint AS lag_messages,
    min(p.updated_at) AS heard_at
FROM (
    SELECT DISTINCT ON (topic, partition) topic, partition, last_event_time, high_watermark, next_offset, updated_at
    FROM ingest_offsets
    ORDER BY topic, partition, updated_at DESC
) AS p
GROUP BY p.topic
ORDER BY p.topic
