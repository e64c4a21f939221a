-- Sets the stored offset. If that skips records, they are a gap. The statement changes one row, whose number
-- the caller gets.
WITH before AS (
    SELECT o.next_offset, o.log_since
    FROM ingest_offsets o
    WHERE o.consumer_group = $1 AND o.topic = $2 AND o.partition = $3
    FOR UPDATE
),
skipped AS (
    INSERT INTO offset_ranges (consumer_group, topic, partition, log_since, from_offset, to_offset, state, reason)
    SELECT $1, $2, $3, b.log_since, b.next_offset, $4, 'gap', 'an operator moved the stored offset over them'
    FROM before b
    WHERE b.next_offset < $4
)
UPDATE ingest_offsets AS o
SET next_offset = $4, consumed_to = $4,
    -- Where records before the new offset wait to be counted, the next fold moves it.
    counted_offset = CASE WHEN o.counted_offset < o.next_offset THEN least(o.counted_offset, $4) ELSE $4 END
FROM before b
WHERE o.consumer_group = $1 AND o.topic = $2 AND o.partition = $3
