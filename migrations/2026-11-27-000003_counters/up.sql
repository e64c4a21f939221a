-- The value of a ratio, rounded half up. scale is 10000 for a rate in basis points, 100 for an
-- average of stars. NULL without a denominator, and if the result does not fit: a counter adjusted
-- by hand can have any value.
CREATE FUNCTION metric_ratio(numerator bigint, denominator bigint, scale bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN denominator = 0 THEN NULL
        WHEN numerator BETWEEN -100000000000000 AND 100000000000000
            AND denominator BETWEEN -100000000000000 AND 100000000000000
        THEN (numerator * scale * 2 + denominator) / (denominator * 2)
        WHEN abs(div(numerator::numeric * scale * 2 + denominator, denominator::numeric * 2)) < 9223372036854775808
        THEN div(numerator::numeric * scale * 2 + denominator, denominator::numeric * 2)::bigint
    END;

-- How many ratings a histogram of 1 to 5 stars has, and the sum of their stars.
CREATE FUNCTION histogram_count(histogram bigint[]) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN histogram[1] + histogram[2] + histogram[3] + histogram[4] + histogram[5];
CREATE FUNCTION histogram_sum(histogram bigint[]) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN histogram[1] + histogram[2] * 2 + histogram[3] * 3 + histogram[4] * 4 + histogram[5] * 5;
-- The components of derived metrics, as metrics.metadata and the API show them.
CREATE FUNCTION ratio_metadata(numerator bigint, denominator bigint) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN jsonb_build_object('numerator', numerator, 'denominator', denominator);
CREATE FUNCTION average_metadata(histogram bigint[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN jsonb_build_object('count', histogram_count(histogram), 'sum', histogram_sum(histogram), 'histogram',
        jsonb_build_object('1', histogram[1], '2', histogram[2], '3', histogram[3], '4', histogram[4], '5', histogram[5]));

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
    -- Leaves room for updates in place: no index contains a column that counting changes.
) WITH (fillfactor = 70);
COMMENT ON TABLE metrics IS 'One row for each metric that was ever counted; a counted zero is a row with 0.';
COMMENT ON COLUMN metrics.value IS 'Counters: the sum. Rates: in basis points. Averages: times 100. NULL: a rate without a denominator.';
COMMENT ON COLUMN metrics.numerator IS 'For a rate: orders. For an average: the sum of stars.';
COMMENT ON COLUMN metrics.denominator IS 'For a rate: views. For an average: the number of ratings.';
COMMENT ON COLUMN metrics.histogram IS 'For an average: the numbers of ratings with 1 to 5 stars.';

-- One row holds all counters of a subject in a bucket, which takes a third of the writes that one
-- row per counter would.
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
COMMENT ON COLUMN rollups.granularity IS 'h: hour, d: day, both in BUSINESS_TIMEZONE.';
COMMENT ON COLUMN rollups.scope IS 't: the marketplace, u: unattributed, s: a seller, p: a product.';
COMMENT ON COLUMN rollups.subject IS 'The id as in metric types, percent-encoded. Empty for t and u.';
COMMENT ON COLUMN rollups.currency IS 'The currency of the revenue. Empty: the base currency, whose row also has the other measures.';

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

-- How many events were counted, apart from the log. If the log of a day has another number of
-- events, it is not what was counted. A verified day stays verified until its number changes.
CREATE TABLE event_days (
    day date NOT NULL,
    event_type varchar(100) COLLATE "C" NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (day, event_type)
) WITH (fillfactor = 70);
COMMENT ON COLUMN event_days.day IS 'The day in BUSINESS_TIMEZONE on which the events happened.';

-- Each user's latest rating of each target.
CREATE TABLE ratings (
    metric_type varchar(100) COLLATE "C" NOT NULL,
    user_id varchar(255) COLLATE "C" NOT NULL,
    stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    rated_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (metric_type, user_id)
) WITH (fillfactor = 80);
COMMENT ON COLUMN ratings.metric_type IS 'The metric that it counts for, such as product_rating:p-1.';
