-- Counts the records of one batch in the present hour of the business's clock, which begins at a
-- full hour or at a change of the clock.
WITH clock AS (
    SELECT greatest(
        c.starts_at,
        date_trunc('hour', now() + make_interval(secs => c.utc_offset), 'UTC') - make_interval(secs => c.utc_offset)
    ) AS hour
    FROM business_clock c
    WHERE c.starts_at <= now()
    ORDER BY c.starts_at DESC
    LIMIT 1
)
INSERT INTO arrivals AS a (hour, topic, partition, outcome, records)
SELECT coalesce((SELECT hour FROM clock), date_trunc('hour', now(), 'UTC')), r.topic, r.partition, r.outcome, r.records
FROM unnest($1, $2, $3, $4) AS r (topic, partition, outcome, records)
ON CONFLICT (hour, topic, partition, outcome) DO UPDATE SET records = a.records + excluded.records
