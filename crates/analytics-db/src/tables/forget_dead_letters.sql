-- Deletes letters older than $1 days, at most $3 of them. Letters that were replayed less than $2
-- days ago are only emptied, because the places of their records must stay known.
WITH old AS (
    SELECT d.id, coalesce(d.replayed_at > now() - make_interval(days => $2::integer), false) AS must_be_known
    FROM dead_letters d
    WHERE d.created_at < now() - make_interval(days => $1::integer)
        -- Without those that were emptied before.
        AND (d.replayed_at IS NULL OR d.replayed_at <= now() - make_interval(days => $2::integer)
            OR d.payload IS NOT NULL OR d.key IS NOT NULL OR d.headers <> '[]')
    ORDER BY d.created_at
    LIMIT $3
    FOR UPDATE
),
emptied AS (
    UPDATE dead_letters d SET payload = NULL, key = NULL, headers = '[]'
    FROM old o WHERE d.id = o.id AND o.must_be_known
),
gone AS (
    DELETE FROM dead_letters d USING old o WHERE d.id = o.id AND NOT o.must_be_known
)
SELECT count(*) AS letters FROM old
