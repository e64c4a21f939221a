-- Adds to the averages. $2 to $6 are the changes of the histogram: ratings of 1 to 5 stars.
WITH change AS (
    SELECT c.type, ARRAY[c.n1, c.n2, c.n3, c.n4, c.n5] AS histogram
    FROM unnest($1, $2, $3, $4, $5, $6) AS c (type, n1, n2, n3, n4, n5)
),
-- What the rows will hold: the histogram is the truth, all else follows from it.
sums AS (
    SELECT c.type, h.histogram,
        h.histogram[1] + h.histogram[2] * 2 + h.histogram[3] * 3 + h.histogram[4] * 4 + h.histogram[5] * 5 AS sum,
        h.histogram[1] + h.histogram[2] + h.histogram[3] + h.histogram[4] + h.histogram[5] AS count
    FROM change c
    -- By the key, whatever the planner thinks of a join.
    LEFT JOIN LATERAL (SELECT m.histogram FROM metrics m WHERE m.type = c.type LIMIT 1) AS m ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(coalesce(m.histogram[star], 0) + c.histogram[star] ORDER BY star) AS histogram
        FROM generate_series(1, 5) AS star
    ) AS h
)
INSERT INTO metrics (type, value, numerator, denominator, histogram, metadata)
SELECT s.type, metric_ratio(s.sum, s.count, 100), s.sum, s.count, s.histogram,
    jsonb_build_object('count', s.count, 'sum', s.sum, 'histogram', jsonb_build_object(
        '1', s.histogram[1], '2', s.histogram[2], '3', s.histogram[3], '4', s.histogram[4], '5', s.histogram[5]))
FROM sums s
ON CONFLICT (type) DO UPDATE
SET value = excluded.value, numerator = excluded.numerator, denominator = excluded.denominator,
    histogram = excluded.histogram, metadata = excluded.metadata, updated_at = now()
