-- The current ratings of these metric types and users. Each is found by its key: a join may be
-- planned as a hash of all ratings. LIMIT keeps the planner from turning the subquery into a join.
SELECT o.number, r.stars, r.rated_at, r.event_id
FROM unnest($1, $2) WITH ORDINALITY AS o (metric_type, user_id, number)
CROSS JOIN LATERAL (
    SELECT r.stars, r.rated_at, r.event_id
    FROM ratings r
    WHERE r.metric_type = o.metric_type AND r.user_id = o.user_id
    LIMIT 1
) AS r
