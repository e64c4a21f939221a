-- Adds to the rollups. NULL is "not counted here": it stays NULL until something is counted, so
-- that a counted zero can be told from nothing.
INSERT INTO rollups AS r (
    bucket_start, granularity, scope, subject, currency, views, signups, orders, units, revenue
)
SELECT a.bucket_start, a.granularity::"char", a.scope::"char", a.subject, a.currency,
    a.views, a.signups, a.orders, a.units, a.revenue
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    AS a (bucket_start, granularity, scope, subject, currency, views, signups, orders, units, revenue)
ON CONFLICT (bucket_start, granularity, scope, subject, currency) DO UPDATE
SET views = coalesce(r.views + excluded.views, r.views, excluded.views),
    signups = coalesce(r.signups + excluded.signups, r.signups, excluded.signups),
    orders = coalesce(r.orders + excluded.orders, r.orders, excluded.orders),
    units = coalesce(r.units + excluded.units, r.units, excluded.units),
    revenue = coalesce(r.revenue + excluded.revenue, r.revenue, excluded.revenue)
