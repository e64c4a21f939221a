-- Adds to the averages. $1 are the metric types, $2 to $6 the changes of their histograms: ratings
-- of 1 to 5 stars.
WITH change AS (
    SELECT c.type, ARRAY[c.n1, c.n2, c.n3, c.n4, c.n5] AS histogram
    FROM unnest($1, $2, $3, $4, $5, $6) AS c (type, n1, n2, n3, n4, n5)
),
-- The new histograms. The other columns are computed from them, each of them once: MATERIALIZED.
changed AS MATERIALIZED (
    SELECT c.type, ARRAY[coalesce(m.histogram[1], 0) + c.histogram[1], coalesce(m.histogram[2], 0) + c.histogram[2],
        coalesce(m.histogram[3], 0) + c.histogram[3], coalesce(m.histogram[4], 0) + c.histogram[4],
        coalesce(m.histogram[5], 0) + c.histogram[5]] AS histogram
    FROM change c
    -- LATERAL with LIMIT: each row is found by its key, whatever the planner estimates for a join.
    LEFT JOIN LATERAL (SELECT m.histogram FROM metrics m WHERE m.type = c.type LIMIT 1) AS m ON true
)
INSERT INTO metrics (type, value, numerator, denominator, histogram, metadata)
SELECT c.type, metric_ratio(histogram_sum(c.histogram), histogram_count(c.histogram), 100),
    histogram_sum(c.histogram), histogram_count(c.histogram), c.histogram, average_metadata(c.histogram)
FROM changed c
ON CONFLICT (type) DO UPDATE
SET value = excluded.value, numerator = excluded.numerator, denominator = excluded.denominator,
    histogram = excluded.histogram, metadata = excluded.metadata, updated_at = now()
