-- Records a gap and moves the stored offset over it, in one statement, if the stored offset is
-- where the gap begins. Unless counting goes on behind the gap, it goes on
-- in another log.
WITH moved AS (
    UPDATE ingest_offsets
    SET next_offset = $6, consumed_to = $6, last_record_offset = NULL, last_record_timestamp = NULL,
        -- Where records before the gap wait to be counted, the next fold moves it.
        counted_offset = CASE WHEN counted_offset < next_offset THEN least(counted_offset, $6) ELSE $6 END,
        counted_timestamp = CASE WHEN counted_offset < next_offset THEN counted_timestamp END,
        log_since = CASE WHEN $5 > $4 AND $6 >= $5 THEN log_since ELSE now() END,
        log_start = CASE WHEN $5 > $4 AND $6 >= $5 THEN log_start ELSE $6 END,
        updated_at = now()
    WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND next_offset = $4
    RETURNING log_since
),
of_log AS (
    INSERT INTO offset_ranges (consumer_group, topic, partition, log_since, from_offset, to_offset, state, reason)
    SELECT $1, $2, $3, m.log_since, $4, $5, 'gap', $7 FROM moved m WHERE $5 > $4 AND $6 >= $5
)
INSERT INTO ingest_gaps (consumer_group, topic, partition, from_offset, to_offset, resumed_at, reason)
SELECT $1, $2, $3, $4, $5, $6, $7 FROM moved
