-- One hash over all rollups that begin in a stretch of time, in the order of their key.
SELECT md5(coalesce(
    string_agg(r::text, E'\n' ORDER BY r.bucket_start, r.granularity, r.scope, r.subject, r.currency), '')) AS digest
FROM rollups r
WHERE r.bucket_start >= $1 AND r.bucket_start < $2
