-- Joins adjacent ranges that were never audited and are $1 days old: without an audit, too, the table stays small.
WITH locked AS MATERIALIZED (
    -- One that is being audited is left to the next run, with the ones behind it.
    SELECT r.*
    FROM offset_ranges r
    WHERE r.state = 'waiting' AND r.last_logged_at < now() - make_interval(days => $1)
    FOR UPDATE SKIP LOCKED
),
old AS (
    SELECT r.*, row_number() OVER w AS place, (r.from_offset IS DISTINCT FROM lag(r.to_offset) OVER w)::int AS begins
    FROM locked r
    WINDOW w AS (PARTITION BY r.consumer_group, r.topic, r.partition, r.log_since ORDER BY r.id)
),
numbered AS (
    SELECT o.*, sum(o.begins) OVER (PARTITION BY o.consumer_group, o.topic, o.partition, o.log_since ORDER BY o.id) AS number
    FROM old o
),
joined AS (
    SELECT min(n.id) AS id, array_agg(n.id) AS ids, max(n.to_offset) AS to_offset, sum(n.records)::bigint AS records,
        mod(sum(n.digest), 340282366920938463463374607431768211456) AS digest, max(n.last_logged_at) AS last_logged_at
    FROM numbered n
    GROUP BY n.consumer_group, n.topic, n.partition, n.log_since, n.number
    HAVING count(*) > 1
),
extended AS (
    UPDATE offset_ranges AS r
    SET to_offset = j.to_offset, records = j.records, digest = j.digest, last_logged_at = j.last_logged_at,
        is_open = false
    FROM joined j
    WHERE r.id = j.id
)
DELETE FROM offset_ranges r USING joined j WHERE r.id = ANY (j.ids) AND r.id <> j.id
