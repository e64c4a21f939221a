-- Stores up to where partitions are counted: up to the first record of a batch that waits, or up to
-- the stored offset if none waits. $1 to $3 are the partitions, whose rows are locked; the rest is what
-- the fold has counted of some of them.
WITH waiting AS MATERIALIZED (
    SELECT s.key, min(s.start) AS start
    FROM batches b, unnest(b.partitions, b.starts) AS s (key, start)
    WHERE b.number IS NULL
    GROUP BY s.key
),
known AS (
    SELECT p.consumer_group, p.topic, p.partition, w.start, c.last_timestamp, c.caught_up_at, c.last_event_time,
        c.to_offset <= least(w.start, o.next_offset) AS is_last, least(w.start, o.next_offset) AS counted_offset
    FROM unnest($1, $2, $3) AS p (consumer_group, topic, partition)
    JOIN ingest_offsets o USING (consumer_group, topic, partition)
    LEFT JOIN waiting w ON w.key = concat_ws('/', p.consumer_group, p.topic, p.partition)
    LEFT JOIN unnest($4, $5, $6, $7, $8, $9, $10)
        AS c (consumer_group, topic, partition, to_offset, last_timestamp, caught_up_at, last_event_time)
        USING (consumer_group, topic, partition)
)
UPDATE ingest_offsets AS o
SET counted_offset = k.counted_offset,
    counted_timestamp = CASE
        WHEN k.start IS NULL THEN o.last_record_timestamp
        WHEN k.is_last THEN k.last_timestamp
        ELSE o.counted_timestamp
    END,
    caught_up_at = CASE WHEN k.is_last THEN greatest(o.caught_up_at, k.caught_up_at) ELSE o.caught_up_at END,
    last_event_time = greatest(o.last_event_time, k.last_event_time)
FROM known k
WHERE o.consumer_group = k.consumer_group AND o.topic = k.topic AND o.partition = k.partition
