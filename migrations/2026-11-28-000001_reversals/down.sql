DROP VIEW bi.reversals_v1;
DROP VIEW bi.days_v1;
DROP VIEW bi.hours_v1;
DROP VIEW metric_rollups;
ALTER TABLE watermark DROP COLUMN derived;
ALTER TABLE batches DROP COLUMN orders, DROP COLUMN reversed;
DROP TABLE reversal_entries;
DROP TABLE reversals;
ALTER TABLE rollups
    DROP COLUMN refunds, DROP COLUMN refunded_units, DROP COLUMN cancelled_orders, DROP COLUMN excess_refunds;

-- The views as they were.
CREATE VIEW metric_rollups AS
SELECT CASE WHEN r.scope IN ('t', 'u') THEN m.name ELSE m.name || ':' || r.subject END
           || CASE WHEN r.currency = '' THEN '' ELSE ':' || r.currency END AS metric_type,
       CASE r.granularity WHEN 'h' THEN 'hour' ELSE 'day' END AS granularity,
       r.bucket_start,
       m.value
FROM rollups r
CROSS JOIN LATERAL (VALUES
    (CASE r.scope WHEN 't' THEN 'total_views' WHEN 's' THEN 'seller_views' WHEN 'p' THEN 'product_views' END, r.views),
    (CASE r.scope WHEN 't' THEN 'total_signups' END, r.signups),
    (CASE r.scope WHEN 't' THEN 'total_orders' WHEN 's' THEN 'seller_orders' WHEN 'p' THEN 'product_orders' END, r.orders),
    (CASE r.scope WHEN 't' THEN 'total_units' WHEN 's' THEN 'seller_units' WHEN 'p' THEN 'product_units' END, r.units),
    (CASE r.scope WHEN 't' THEN 'total_revenue' WHEN 'u' THEN 'unattributed_revenue'
                  WHEN 's' THEN 'seller_revenue' WHEN 'p' THEN 'product_revenue' END, r.revenue),
    (CASE WHEN r.scope = 't' AND r.granularity = 'd' THEN 'daily_signups:' || (
        SELECT to_char(r.bucket_start AT TIME ZONE 'UTC' + make_interval(secs => c.utc_offset), 'YYYY-MM-DD')
        FROM business_clock c WHERE c.starts_at <= r.bucket_start ORDER BY c.starts_at DESC LIMIT 1) END, r.signups)
) AS m(name, value)
WHERE m.name IS NOT NULL AND m.value IS NOT NULL;
COMMENT ON VIEW metric_rollups IS 'One row for each counter in each hour and day. Weeks and months are sums of days.';

CREATE OR REPLACE VIEW bi.metrics_v1 AS
SELECT m.type,
       split_part(m.type, ':', 1) AS name,
       bi.decoded(CASE WHEN split_part(m.type, ':', 1) IN ('total_revenue', 'unattributed_revenue') THEN NULL
                       ELSE nullif(split_part(m.type, ':', 2), '') END) AS subject,
       CASE WHEN split_part(m.type, ':', 1) IN ('total_revenue', 'unattributed_revenue')
            THEN coalesce(nullif(split_part(m.type, ':', 2), ''), s.base_currency)
            WHEN split_part(m.type, ':', 1) IN ('seller_revenue', 'product_revenue')
            THEN coalesce(nullif(split_part(m.type, ':', 3), ''), s.base_currency) END AS currency,
       bi.known(m.value) AS value,
       coalesce(m.numerator, histogram_sum(m.histogram)) AS numerator,
       coalesce(m.denominator, histogram_count(m.histogram)) AS denominator,
       m.updated_at
FROM metrics m CROSS JOIN service_settings s;

CREATE VIEW bi.hours_v1 AS
SELECT r.bucket_start AS starts_at,
       CASE r.scope WHEN 't' THEN 'marketplace' WHEN 'u' THEN 'unattributed' WHEN 's' THEN 'seller' ELSE 'product' END AS scope,
       bi.decoded(nullif(r.subject, '')) AS subject,
       coalesce(nullif(r.currency, ''), s.base_currency) AS currency,
       bi.known(r.views) AS views,
       bi.known(r.signups) AS signups,
       bi.known(r.orders) AS orders,
       bi.known(r.units) AS units,
       bi.known(r.revenue) AS revenue
FROM rollups r CROSS JOIN service_settings s
WHERE r.granularity = 'h';
COMMENT ON VIEW bi.hours_v1 IS
    'What was counted in each hour, of the marketplace and of sellers. An hour of a subject has one row for each currency; that of the base currency also has the other numbers. Without a row, nothing was counted.';
COMMENT ON COLUMN bi.hours_v1.starts_at IS 'When the hour begins. Give a range: rows are found by it.';
COMMENT ON COLUMN bi.hours_v1.scope IS 'marketplace, seller, product, or unattributed: revenue without a seller.';
COMMENT ON COLUMN bi.hours_v1.subject IS 'The id of the seller or product; NULL for the other scopes.';
COMMENT ON COLUMN bi.hours_v1.currency IS 'The currency of the revenue.';
COMMENT ON COLUMN bi.hours_v1.views IS 'Views. NULL: not counted for this scope, or in the row of another currency.';
COMMENT ON COLUMN bi.hours_v1.signups IS 'Users who registered; of the marketplace only.';
COMMENT ON COLUMN bi.hours_v1.orders IS 'Orders, once for each order and seller.';
COMMENT ON COLUMN bi.hours_v1.units IS 'Units in order lines.';
COMMENT ON COLUMN bi.hours_v1.revenue IS 'Gross revenue in minor units of the currency.';

CREATE VIEW bi.days_v1 AS
SELECT (r.bucket_start AT TIME ZONE 'UTC' + make_interval(secs => (
           SELECT c.utc_offset FROM business_clock c WHERE c.starts_at <= r.bucket_start ORDER BY c.starts_at DESC LIMIT 1
       )))::date AS day,
       r.bucket_start AS starts_at,
       CASE r.scope WHEN 't' THEN 'marketplace' WHEN 'u' THEN 'unattributed' WHEN 's' THEN 'seller' ELSE 'product' END AS scope,
       bi.decoded(nullif(r.subject, '')) AS subject,
       coalesce(nullif(r.currency, ''), s.base_currency) AS currency,
       bi.known(r.views) AS views,
       bi.known(r.signups) AS signups,
       bi.known(r.orders) AS orders,
       bi.known(r.units) AS units,
       bi.known(r.revenue) AS revenue
FROM rollups r CROSS JOIN service_settings s
WHERE r.granularity = 'd';
COMMENT ON VIEW bi.days_v1 IS
    'What was counted on each day. A day of a subject has one row for each currency; that of the base currency also has the other numbers. Without a row, nothing was counted. Weeks and months are sums of days.';
COMMENT ON COLUMN bi.days_v1.day IS 'The day in BUSINESS_TIMEZONE.';
COMMENT ON COLUMN bi.days_v1.starts_at IS 'When the day begins. Give a range: rows are found by it.';
COMMENT ON COLUMN bi.days_v1.scope IS 'marketplace, seller, product, or unattributed: revenue without a seller.';
COMMENT ON COLUMN bi.days_v1.subject IS 'The id of the seller or product; NULL for the other scopes.';
COMMENT ON COLUMN bi.days_v1.currency IS 'The currency of the revenue.';
COMMENT ON COLUMN bi.days_v1.views IS 'Views. NULL: not counted for this scope, or in the row of another currency.';
COMMENT ON COLUMN bi.days_v1.signups IS 'Users who registered; of the marketplace only.';
COMMENT ON COLUMN bi.days_v1.orders IS 'Orders, once for each order and seller.';
COMMENT ON COLUMN bi.days_v1.units IS 'Units in order lines.';
COMMENT ON COLUMN bi.days_v1.revenue IS 'Gross revenue in minor units of the currency.';
