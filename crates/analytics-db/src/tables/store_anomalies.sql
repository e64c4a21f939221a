-- Stores what a run found: changes the anomaly that it was stored as before, or inserts it.
WITH found AS (
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) WITH ORDINALITY AS f (
        type, vendor_id, granularity, verdict, from_time, to_time, judged_until, is_open,
        observed, expected, lower, upper, confidence, place)
), known AS (
    -- The latest stored anomaly of the same subject, seller, direction and time.
    SELECT DISTINCT ON (f.place) f.*, a.id
    FROM found f
    JOIN anomalies a ON a.type = f.type AND a.verdict = f.verdict AND a.vendor_id IS NOT DISTINCT FROM f.vendor_id
        AND f.from_time < a.to_time AND a.from_time < f.to_time
    ORDER BY f.place, a.from_time DESC
), changed AS (
    UPDATE anomalies a
    SET granularity = k.granularity::"char", from_time = least(a.from_time, k.from_time), to_time = k.to_time, judged_until = k.judged_until,
        observed = k.observed, expected = k.expected, lower = k.lower, upper = k.upper, confidence = k.confidence,
        state = CASE WHEN NOT k.is_open THEN 'resolved' WHEN a.acknowledged_at IS NULL THEN 'open' ELSE 'acknowledged' END,
        resolved_at = CASE WHEN k.is_open THEN NULL ELSE coalesce(a.resolved_at, now()) END,
        updated_at = now()
    FROM known k
    -- A run that saw less, because ingest was silent meanwhile, does not know better.
    WHERE a.id = k.id AND k.judged_until >= a.judged_until
    RETURNING a.id
), opened AS (
    INSERT INTO anomalies (type, vendor_id, granularity, verdict, state, from_time, to_time, judged_until,
        observed, expected, lower, upper, confidence, resolved_at)
    SELECT f.type, f.vendor_id, f.granularity::"char", f.verdict, CASE WHEN f.is_open THEN 'open' ELSE 'resolved' END,
        f.from_time, f.to_time, f.judged_until, f.observed, f.expected, f.lower, f.upper, f.confidence,
        CASE WHEN NOT f.is_open THEN now() END
    FROM found f
    WHERE NOT EXISTS (SELECT FROM known k WHERE k.place = f.place)
    ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT (SELECT count(*) FROM opened) AS opened, (SELECT count(*) FROM changed) AS changed
