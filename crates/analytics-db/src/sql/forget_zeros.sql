-- Zeros of the given measures become "not counted here", and rows without any measure go.
WITH given AS (
    SELECT a.*
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        AS a (bucket_start, granularity, scope, subject, currency, views, signups, orders, units, revenue)
),
left_over AS (
    SELECT r.bucket_start, r.granularity, r.scope, r.subject, r.currency,
        CASE WHEN g.views IS NULL OR r.views <> 0 THEN r.views END AS views,
        CASE WHEN g.signups IS NULL OR r.signups <> 0 THEN r.signups END AS signups,
        CASE WHEN g.orders IS NULL OR r.orders <> 0 THEN r.orders END AS orders,
        CASE WHEN g.units IS NULL OR r.units <> 0 THEN r.units END AS units,
        CASE WHEN g.revenue IS NULL OR r.revenue <> 0 THEN r.revenue END AS revenue
    FROM given g
    JOIN rollups r ON r.bucket_start = g.bucket_start AND r.granularity = g.granularity::"char"
        AND r.scope = g.scope::"char" AND r.subject = g.subject AND r.currency = g.currency
),
gone AS (
    DELETE FROM rollups r USING left_over l
    WHERE (r.bucket_start, r.granularity, r.scope, r.subject, r.currency)
            = (l.bucket_start, l.granularity, l.scope, l.subject, l.currency)
        AND coalesce(l.views, l.signups, l.orders, l.units, l.revenue) IS NULL
)
UPDATE rollups r
SET views = l.views, signups = l.signups, orders = l.orders, units = l.units, revenue = l.revenue
FROM left_over l
WHERE (r.bucket_start, r.granularity, r.scope, r.subject, r.currency)
        = (l.bucket_start, l.granularity, l.scope, l.subject, l.currency)
    AND coalesce(l.views, l.signups, l.orders, l.units, l.revenue) IS NOT NULL
