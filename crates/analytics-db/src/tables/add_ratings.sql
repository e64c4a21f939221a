-- Adds to the averages. $1 are the metric types, $2 to $6 the changes of their histograms: ratings
-- of 1 to 5 stars.
WITH change AS (
    SELECT c.type, ARRAY[c.n1, c.n2, c.n3, c.n4, c.n5] AS histogram
    FROM unnest($1, $2, $3, $4, $5, $6) AS c (type, n1, n2, n3, n4, n5)
),
-- The new histograms. The other columns are computed from them.
changed AS (
    SELECT c.type, h.histogram
    FROM change c
    -- LATERAL with LIMIT: each row is found by its key, whatever the planner estimates for a join.
    LEFT JOIN LATERAL (SELECT m.histogram FROM metrics m WHERE m.type = c.type LIMIT 1) AS m ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(coalesce(m.histogram[star], 0) + c.histogram[star] ORDER BY star) AS histogram
        FROM generate_series(1, 5) AS star
    ) AS h
)
INSERT INTO metrics (type, value, numerator, denominator, histogram, metadata)
SELECT c.type, metric_ratio(histogram_sum(c.histogram), histogram_count(c.histogram), 100),
    histogram_sum(c.histogram), histogram_count(c.histogram), c.histogram, average_metadata(c.histogram)
FROM changed c
ON CONFLICT (type) DO UPDATE
SET value = excluded.value, numerator = excluded.numerator, denominator = excluded.denominator,
    histogram = excluded.histogram, metadata = excluded.metadata, updated_at = now()
