-- Adds an audited range to the one before it if the result is the same, so that the table stays small. $1: its id.
WITH later AS (
    SELECT * FROM offset_ranges WHERE id = $1 AND state IN ('equal', 'gone') FOR UPDATE
),
earlier AS (
    SELECT e.id
    FROM offset_ranges e, later l
    WHERE e.consumer_group = l.consumer_group AND e.topic = l.topic AND e.partition = l.partition
        AND e.to_offset = l.from_offset AND e.log_since = l.log_since AND e.state = l.state
        AND e.reason IS NOT DISTINCT FROM l.reason AND e.id < l.id
    ORDER BY e.id DESC
    LIMIT 1
    FOR UPDATE OF e
),
deleted AS (
    DELETE FROM offset_ranges r USING later l, earlier e WHERE r.id = l.id
)
UPDATE offset_ranges AS r
SET to_offset = l.to_offset, records = r.records + l.records,
    digest = mod(r.digest + l.digest, 340282366920938463463374607431768211456),
    last_logged_at = l.last_logged_at, audited_at = l.audited_at
FROM earlier e, later l
WHERE r.id = e.id
