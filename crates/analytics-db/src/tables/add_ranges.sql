-- Adds the ranges of offsets of batches that are being counted. A range continues the one before it if that
-- is open and neither has too many records nor is too old; $2 and $3 are the limits.
WITH logged AS (
    SELECT b.id, b.logged_at, regexp_match(s.key, '^(.*)/([^/]*)/([0-9]+)$') AS place, s.*
    FROM batches b, unnest(b.partitions, b.starts, b.ends, b.delivered, b.digests, b.logs)
        AS s (key, from_offset, to_offset, records, digest, log_since)
    WHERE b.id = ANY ($1) AND b.ends IS NOT NULL
),
-- Batches of a partition come in the order in which they were logged. Adjacent ones are one piece.
marked AS (
    SELECT l.*, (l.from_offset IS DISTINCT FROM lag(l.to_offset) OVER (PARTITION BY l.key, l.log_since ORDER BY l.id))::int AS begins
    FROM logged l
),
numbered AS (
    SELECT m.*, sum(m.begins) OVER (PARTITION BY m.key, m.log_since ORDER BY m.id) AS number FROM marked m
),
pieces AS MATERIALIZED (
    SELECT n.place[1] AS consumer_group, n.place[2] AS topic, n.place[3]::integer AS partition, n.log_since, n.number,
        min(n.from_offset) AS from_offset, max(n.to_offset) AS to_offset, sum(n.records)::bigint AS records,
        sum(n.digest) AS digest, min(n.logged_at) AS first_logged_at, max(n.logged_at) AS last_logged_at,
        min(n.id) AS first_id
    FROM numbered n
    GROUP BY n.place, n.log_since, n.number
),
continued AS MATERIALIZED (
    -- Where offsets were set back, several pieces begin where a range ends. The first one continues it.
    SELECT p.*, CASE WHEN row_number() OVER (PARTITION BY r.id ORDER BY p.first_id) = 1 THEN r.id END AS id
    FROM pieces p
    LEFT JOIN LATERAL (
        SELECT r.id
        FROM offset_ranges r
        WHERE r.consumer_group = p.consumer_group AND r.topic = p.topic AND r.partition = p.partition
            AND r.to_offset = p.from_offset AND r.log_since = p.log_since AND r.is_open
            AND r.records + p.records <= $2 AND r.first_logged_at > p.last_logged_at - make_interval(secs => $3)
        ORDER BY r.id DESC
        LIMIT 1
        FOR UPDATE
    ) AS r ON true
),
extended AS (
    UPDATE offset_ranges AS r
    SET to_offset = c.to_offset, records = r.records + c.records,
        digest = mod(r.digest + c.digest, 340282366920938463463374607431768211456), last_logged_at = c.last_logged_at
    FROM continued c
    WHERE r.id = c.id
)
INSERT INTO offset_ranges (consumer_group, topic, partition, log_since, from_offset, to_offset, records, digest,
    first_logged_at, last_logged_at, is_open)
SELECT c.consumer_group, c.topic, c.partition, c.log_since, c.from_offset, c.to_offset, c.records,
    mod(c.digest, 340282366920938463463374607431768211456), c.first_logged_at, c.last_logged_at, true
FROM continued c
WHERE c.id IS NULL
ORDER BY c.first_id
