-- Resolves anomalies that were judged again and do not go on, or go on as another seller's.
WITH judged AS (
    SELECT * FROM unnest($1, $2) AS j (type, until)
), ongoing AS (
    SELECT * FROM unnest($3, $4, $5, $6, $7) AS f (type, verdict, from_time, to_time, vendor_id)
)
UPDATE anomalies a
SET state = 'resolved', resolved_at = now(), updated_at = now(), judged_until = j.until
FROM judged j
WHERE a.type = j.type AND a.state <> 'resolved' AND j.until >= a.judged_until
  AND NOT EXISTS (
      SELECT FROM ongoing f
      WHERE f.type = a.type AND f.verdict = a.verdict AND f.vendor_id IS NOT DISTINCT FROM a.vendor_id
        AND f.from_time < a.to_time AND a.from_time < f.to_time)
