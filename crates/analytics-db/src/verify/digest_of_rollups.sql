-- One hash over all rollups that begin in some ranges of time, in the order of their keys.
SELECT md5(coalesce(
    string_agg(r::text, E'\n' ORDER BY r.bucket_start, r.granularity, r.scope, r.subject, r.currency), '')) AS digest
FROM unnest($1, $2) AS s (first, last)
JOIN rollups r ON r.bucket_start >= s.first AND r.bucket_start < s.last
