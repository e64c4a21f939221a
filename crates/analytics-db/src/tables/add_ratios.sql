-- Adds to both components of each ratio and works the ratio out from them, with 1 written as $4; the
-- update reads the row that it updates, so nothing is read that another writer may change.
INSERT INTO metrics AS m (type, value, numerator, denominator, metadata)
SELECT r.type, metric_ratio(r.numerator, r.denominator, $4), r.numerator, r.denominator,
    jsonb_build_object('numerator', r.numerator, 'denominator', r.denominator)
FROM unnest($1, $2, $3) AS r (type, numerator, denominator)
ON CONFLICT (type) DO UPDATE
SET numerator = coalesce(m.numerator, 0) + excluded.numerator,
    denominator = coalesce(m.denominator, 0) + excluded.denominator,
    value = metric_ratio(
        coalesce(m.numerator, 0) + excluded.numerator, coalesce(m.denominator, 0) + excluded.denominator, $4),
    metadata = jsonb_build_object(
        'numerator', coalesce(m.numerator, 0) + excluded.numerator,
        'denominator', coalesce(m.denominator, 0) + excluded.denominator),
    updated_at = now()
