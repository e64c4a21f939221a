-- Stores the result of an audit of one range, if it is not audited yet and still is what was read. $1: its id.
-- $2: equal, different or gone. $3: why. $4 and $5: what Kafka held, if it differs. $6 and $7: where it ends, and its
-- digest.
WITH audited AS (
    UPDATE offset_ranges
    SET state = $2, reason = $3, found_records = $4, found_digest = $5::numeric, audited_at = now()
    WHERE id = $1 AND state = 'waiting' AND to_offset = $6 AND digest = $7::numeric
    RETURNING *
)
-- What was different and is read again since is settled, piece by piece.
UPDATE offset_ranges AS d
SET settled_to = a.to_offset, state = CASE WHEN a.to_offset >= d.to_offset THEN 'settled' ELSE d.state END
FROM audited a
WHERE a.state = 'equal'
    AND d.consumer_group = a.consumer_group AND d.topic = a.topic AND d.partition = a.partition
    AND d.log_since = a.log_since AND d.state = 'different' AND d.id < a.id
    AND a.from_offset <= coalesce(d.settled_to, d.from_offset) AND a.to_offset > coalesce(d.settled_to, d.from_offset)
