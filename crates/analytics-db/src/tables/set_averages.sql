-- Sets the averages of some targets from their current ratings. The caller holds the counting lock.
WITH current AS (
    SELECT t.type,
        ARRAY[count(*) FILTER (WHERE r.stars = 1), count(*) FILTER (WHERE r.stars = 2),
              count(*) FILTER (WHERE r.stars = 3), count(*) FILTER (WHERE r.stars = 4),
              count(*) FILTER (WHERE r.stars = 5)] AS histogram
    FROM unnest($1) AS t (type)
    LEFT JOIN ratings r ON r.metric_type = t.type
    GROUP BY t.type
)
INSERT INTO metrics (type, value, numerator, denominator, histogram, metadata)
SELECT c.type, metric_ratio(histogram_sum(c.histogram), histogram_count(c.histogram), 100),
    histogram_sum(c.histogram), histogram_count(c.histogram), c.histogram, average_metadata(c.histogram)
FROM current c
ORDER BY c.type
ON CONFLICT (type) DO UPDATE
SET value = excluded.value, numerator = excluded.numerator, denominator = excluded.denominator,
    histogram = excluded.histogram, metadata = excluded.metadata, updated_at = now()
