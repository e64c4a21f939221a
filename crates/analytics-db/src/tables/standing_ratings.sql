-- Of these metric types and users, the ratings that stand. One by one, by the key: a join may be
-- planned as a hash of all ratings there ever were. LIMIT keeps the planner from making it one.
SELECT o.number, r.stars, r.rated_at, r.event_id
FROM unnest($1, $2) WITH ORDINALITY AS o (metric_type, user_id, number)
CROSS JOIN LATERAL (
    SELECT r.stars, r.rated_at, r.event_id
    FROM ratings r
    WHERE r.metric_type = o.metric_type AND r.user_id = o.user_id
    LIMIT 1
) AS r
