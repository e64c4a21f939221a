-- Stores ratings as the current ones. The caller holds the counting lock and has compared them with
-- the previous ones.
INSERT INTO ratings (metric_type, user_id, stars, rated_at, event_id)
SELECT * FROM unnest($1, $2, $3, $4, $5)
ON CONFLICT (metric_type, user_id) DO UPDATE
SET stars = excluded.stars, rated_at = excluded.rated_at, event_id = excluded.event_id
