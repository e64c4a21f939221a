-- Stores what a worker knows about its partitions: their ends ($5) and how many seconds ago these
-- were known ($6), up to which offset they are consumed ($7), and how many seconds ago they were
-- completely consumed ($8), which is stored only where nothing waits to be counted. Times are by the
-- database's clock. Only rows whose stored offset is the expected one ($4) are updated.
UPDATE ingest_offsets AS o
SET high_watermark = coalesce(p.high_watermark, o.high_watermark),
    ends_known_at = greatest(o.ends_known_at, now() - make_interval(secs => p.end_age)),
    consumed_to = greatest(p.consumed_to, o.next_offset),
    caught_up_at = CASE
        WHEN o.counted_offset <> o.next_offset OR EXISTS (
            SELECT FROM batches b
            WHERE b.number IS NULL AND concat_ws('/', o.consumer_group, o.topic, o.partition) = ANY (b.partitions)
        ) THEN o.caught_up_at
        ELSE greatest(o.caught_up_at, now() - make_interval(secs => p.caught_up_age))
    END,
    updated_at = now()
FROM unnest($2, $3, $4, $5, $6, $7, $8) AS p (
    topic, partition, next_offset, high_watermark, end_age, consumed_to, caught_up_age
)
WHERE o.consumer_group = $1
    AND o.topic = p.topic
    AND o.partition = p.partition
    AND o.next_offset = p.next_offset
