-- Sets the averages of some targets to what the standing ratings come to; the caller holds the
-- counting lock.
WITH sums AS (
    SELECT t.type,
        ARRAY[count(*) FILTER (WHERE r.stars = 1), count(*) FILTER (WHERE r.stars = 2),
              count(*) FILTER (WHERE r.stars = 3), count(*) FILTER (WHERE r.stars = 4),
              count(*) FILTER (WHERE r.stars = 5)] AS histogram,
        coalesce(sum(r.stars), 0)::bigint AS sum,
        count(r.stars) AS count
    FROM unnest($1) AS t (type)
    LEFT JOIN ratings r ON r.metric_type = t.type
    GROUP BY t.type
)
INSERT INTO metrics (type, value, numerator, denominator, histogram, metadata)
SELECT s.type, metric_ratio(s.sum, s.count, 100), s.sum, s.count, s.histogram,
    jsonb_build_object('count', s.count, 'sum', s.sum, 'histogram', jsonb_build_object(
        '1', s.histogram[1], '2', s.histogram[2], '3', s.histogram[3], '4', s.histogram[4], '5', s.histogram[5]))
FROM sums s
ORDER BY s.type
ON CONFLICT (type) DO UPDATE
SET value = excluded.value, numerator = excluded.numerator, denominator = excluded.denominator,
    histogram = excluded.histogram, metadata = excluded.metadata, updated_at = now()
