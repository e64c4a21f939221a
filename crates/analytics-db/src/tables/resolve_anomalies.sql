-- Resolves anomalies that were judged again and do not go on, or go on as another seller's.
WITH judged AS (
    SELECT * FROM unnest($1, $2) AS j (type, until)
), found AS (
    SELECT * FROM unnest($3, $4, $5, $6, $7, $8, $9) AS f (
        type, vendor_id, granularity, verdict, from_time, to_time, is_open)
), same AS (
    -- What was found of the same subject, seller, direction and time as an anomaly that is not resolved.
    SELECT a.id, f.is_open, f.granularity = a.granularity::text AS is_exact
    FROM anomalies a
    JOIN found f ON f.type = a.type AND f.verdict = a.verdict AND f.vendor_id IS NOT DISTINCT FROM a.vendor_id
        AND f.from_time < a.to_time AND a.from_time < f.to_time
    WHERE a.state <> 'resolved'
)
UPDATE anomalies a
SET state = 'resolved', resolved_at = now(), updated_at = now(),
    -- That of one that was found, over, is stored next: for one of days it is not that of the subject's hours.
    judged_until = CASE WHEN EXISTS (SELECT FROM same s WHERE s.id = a.id AND s.is_exact) THEN a.judged_until ELSE j.until END
FROM judged j
WHERE a.type = j.type AND a.state <> 'resolved' AND j.until >= a.judged_until
  -- One of hours goes on as one of days, and the other way round, only if none of its own kind was found: see
  -- store_anomalies.sql.
  AND NOT EXISTS (
      SELECT FROM same s
      WHERE s.id = a.id AND s.is_open
        AND (s.is_exact OR NOT EXISTS (SELECT FROM same e WHERE e.id = a.id AND e.is_exact)))
