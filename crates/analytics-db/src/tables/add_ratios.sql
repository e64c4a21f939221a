-- Adds to both components of each ratio and recalculates its value, in which 1 is written as $4.
-- The new value is computed from the row that is being updated, so no value is used that another
-- writer may have changed since.
INSERT INTO metrics AS m (type, value, numerator, denominator, metadata)
SELECT r.type, metric_ratio(r.numerator, r.denominator, $4), r.numerator, r.denominator,
    ratio_metadata(r.numerator, r.denominator)
FROM unnest($1, $2, $3) AS r (type, numerator, denominator)
ON CONFLICT (type) DO UPDATE
SET (numerator, denominator, value, metadata, updated_at) = (
    SELECT s.numerator, s.denominator, metric_ratio(s.numerator, s.denominator, $4),
        ratio_metadata(s.numerator, s.denominator), now()
    FROM (SELECT saturating_add(coalesce(m.numerator, 0), excluded.numerator),
            saturating_add(coalesce(m.denominator, 0), excluded.denominator))
        AS s (numerator, denominator))
