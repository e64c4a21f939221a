-- Rounded half up: 10000 for a rate in basis points, 100 for an average of stars.
CREATE FUNCTION metric_ratio(numerator bigint, denominator bigint, scale bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN denominator = 0 THEN NULL
                ELSE (numerator * scale * 2 + denominator) / (denominator * 2) END;

CREATE TABLE metrics (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    type varchar(100) COLLATE "C" NOT NULL UNIQUE,
    value bigint,
    metadata jsonb,
    numerator bigint,
    denominator bigint,
    histogram bigint[],
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
    -- Room for updates in place: no index holds a column that counting changes.
) WITH (fillfactor = 70);
COMMENT ON TABLE metrics IS 'One row for each metric that was ever counted; a counted zero is a row with 0.';
COMMENT ON COLUMN metrics.value IS 'Counters: the sum. Rates: basis points. Averages: times 100. NULL: a rate without a denominator.';
COMMENT ON COLUMN metrics.numerator IS 'Of a rate: orders. Of an average: the sum of stars.';
COMMENT ON COLUMN metrics.denominator IS 'Of a rate: views. Of an average: the number of ratings.';
COMMENT ON COLUMN metrics.histogram IS 'Of an average: how many ratings of 1 to 5 stars.';

-- All counters of one subject in one bucket are one row: a third of the writes of a row each.
CREATE TABLE rollups (
    bucket_start timestamptz NOT NULL,
    granularity "char" NOT NULL CHECK (granularity IN ('h', 'd')),
    scope "char" NOT NULL CHECK (scope IN ('t', 'u', 's', 'p')),
    subject varchar(64) COLLATE "C" NOT NULL,
    currency varchar(3) COLLATE "C" NOT NULL,
    views bigint,
    signups bigint,
    orders bigint,
    units bigint,
    revenue bigint,
    PRIMARY KEY (bucket_start, granularity, scope, subject, currency)
) WITH (fillfactor = 70);
COMMENT ON COLUMN rollups.granularity IS 'h: hour, d: day, both cut in BUSINESS_TIMEZONE.';
COMMENT ON COLUMN rollups.scope IS 't: the marketplace, u: what belongs to no seller, s: a seller, p: a product.';
COMMENT ON COLUMN rollups.subject IS 'The id as in metric types, percent-encoded; empty for t and u.';
COMMENT ON COLUMN rollups.currency IS 'Of revenue; empty is the base currency, whose row also has the counts.';

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
    (CASE r.scope WHEN 't' THEN 'total_orders' WHEN 's' THEN 'seller_orders' END, r.orders),
    (CASE r.scope WHEN 't' THEN 'total_units' WHEN 's' THEN 'seller_units' WHEN 'p' THEN 'product_units' END, r.units),
    (CASE r.scope WHEN 't' THEN 'total_revenue' WHEN 'u' THEN 'unattributed_revenue'
                  WHEN 's' THEN 'seller_revenue' WHEN 'p' THEN 'product_revenue' END, r.revenue),
    (CASE WHEN r.scope = 't' AND r.granularity = 'd' THEN 'daily_signups:' || to_char(
        r.bucket_start AT TIME ZONE (SELECT s.business_timezone FROM service_settings s), 'YYYY-MM-DD') END, r.signups)
) AS m(name, value)
WHERE m.name IS NOT NULL AND m.value IS NOT NULL;
COMMENT ON VIEW metric_rollups IS 'Each counter by hour and by day, a row each. Weeks and months are sums of days.';
