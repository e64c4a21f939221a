-- Records a gap and moves the stored offset over it, in one statement, if the stored offset is
-- where the gap begins.
WITH moved AS (
    UPDATE ingest_offsets
    SET next_offset = $6, consumed_to = $6, last_record_offset = NULL, last_record_timestamp = NULL,
        -- Where records before the gap wait to be counted, the next fold moves it.
        counted_offset = CASE WHEN counted_offset < next_offset THEN least(counted_offset, $6) ELSE $6 END,
        counted_timestamp = CASE WHEN counted_offset < next_offset THEN counted_timestamp END,
        updated_at = now()
    WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND next_offset = $4
    RETURNING 1
)
INSERT INTO ingest_gaps (consumer_group, topic, partition, from_offset, to_offset, resumed_at, reason)
SELECT $1, $2, $3, $4, $5, $6, $7 FROM moved
