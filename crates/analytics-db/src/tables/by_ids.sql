-- Events by their ids, each looked up by its primary key: LIMIT keeps the planner from looking for all of
-- them at once, for which it reads large parts of a partition by its BRIN index. It does not know how many
-- ids the inner SELECT gives and assumes few; for many it would compile the statement, which takes longer.
SELECT e.id, e.event_type, e.user_id, e.created_at, e.ingested_at, e.batch_id, e.rules_version, e.product_id,
    e.vendor_id, e.vendor_learned, e.stars, e.seal
FROM unnest((SELECT $1)) AS wanted (id)
CROSS JOIN LATERAL (SELECT * FROM event_logs WHERE event_logs.id = wanted.id LIMIT 1) AS e
ORDER BY e.id
