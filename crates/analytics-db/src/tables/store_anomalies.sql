-- Stores what a run found: changes the anomaly that it was stored as before, or inserts it.
WITH found AS (
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) WITH ORDINALITY AS f (
        type, vendor_id, granularity, verdict, from_time, to_time, judged_until, is_open,
        observed, expected, lower, upper, confidence, place)
), known AS (
    -- The latest stored anomaly of the same subject, seller, direction and time. Days and hours can have one each at
    -- the same time: one of the other kind is taken only if nothing of its own kind was found.
    SELECT DISTINCT ON (f.place) f.*, a.id
    FROM found f
    JOIN anomalies a ON a.type = f.type AND a.verdict = f.verdict AND a.vendor_id IS NOT DISTINCT FROM f.vendor_id
        AND f.from_time < a.to_time AND a.from_time < f.to_time
    WHERE f.granularity = a.granularity::text OR NOT EXISTS (
        SELECT FROM found e
        WHERE e.granularity = a.granularity::text AND e.type = a.type AND e.verdict = a.verdict
            AND e.vendor_id IS NOT DISTINCT FROM a.vendor_id
            AND e.from_time < a.to_time AND a.from_time < e.to_time)
    ORDER BY f.place, f.granularity = a.granularity::text DESC, a.from_time DESC
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
        -- After the changes: what they resolve makes room for one that is open.
        AND (SELECT count(*) FROM changed) >= 0
    ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT (SELECT count(*) FROM opened) AS opened, (SELECT count(*) FROM changed) AS changed
