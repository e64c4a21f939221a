-- Counts rejected records that are not kept as dead letters because these have reached their size
-- limit: how many by hour, and in which range of offsets of their partition.
INSERT INTO dead_letter_overflow AS o (topic, partition, reason, hour, first_offset, last_offset, letters, detail)
SELECT a.topic, a.partition, a.reason, date_trunc('hour', now()), a.first_offset, a.last_offset, a.letters, a.detail
FROM unnest($1, $2, $3, $4, $5, $6, $7) AS a (topic, partition, reason, first_offset, last_offset, letters, detail)
ON CONFLICT (topic, partition, reason, hour) DO UPDATE
SET first_offset = least(o.first_offset, excluded.first_offset),
    last_offset = greatest(o.last_offset, excluded.last_offset),
    letters = o.letters + excluded.letters
