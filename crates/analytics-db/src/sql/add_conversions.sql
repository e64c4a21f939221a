-- Adds to both counts of each rate and works the rate out from them; the first statement of the
-- update reads the row it updates, so nothing is read that another writer may change.
INSERT INTO metrics AS m (type, value, numerator, denominator, metadata)
SELECT c.type, metric_ratio(c.orders, c.views, 10000), c.orders, c.views,
    jsonb_build_object('numerator', c.orders, 'denominator', c.views)
FROM unnest($1, $2, $3) AS c (type, orders, views)
ON CONFLICT (type) DO UPDATE
SET numerator = coalesce(m.numerator, 0) + excluded.numerator,
    denominator = coalesce(m.denominator, 0) + excluded.denominator,
    value = metric_ratio(
        coalesce(m.numerator, 0) + excluded.numerator, coalesce(m.denominator, 0) + excluded.denominator, 10000),
    metadata = jsonb_build_object(
        'numerator', coalesce(m.numerator, 0) + excluded.numerator,
        'denominator', coalesce(m.denominator, 0) + excluded.denominator),
    updated_at = now()
