-- Views for SQL clients. A later version of the service may change the tables below them as it likes, but keeps
-- these columns and what they mean.
CREATE SCHEMA bi;
COMMENT ON SCHEMA bi IS
    'Views for SQL clients such as Metabase, Grafana or a notebook. A view keeps its columns and their meaning in later versions of the service; what cannot be kept becomes a new view with the next number, beside the old one.';

CREATE FUNCTION bi.first_id(moment timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN rpad(lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid;
COMMENT ON FUNCTION bi.first_id IS
    'The least id of an event at this time. Events are found by their ids: WHERE id >= bi.first_id(''2026-11-01'') AND id < bi.first_id(''2026-12-01'') reads only November.';

CREATE FUNCTION bi.decoded(subject text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN replace(replace(subject, '%3A', ':'), '%25', '%');
COMMENT ON FUNCTION bi.decoded IS 'An id as producers write it, from its form in metric types.';

-- A sum past the range of bigint is stored as its greatest or least value.
CREATE FUNCTION bi.known(sum bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN CASE WHEN sum BETWEEN -9223372036854775806 AND 9223372036854775806 THEN sum END;
COMMENT ON FUNCTION bi.known IS 'The sum, or NULL if it is past the range and not known.';

CREATE VIEW bi.metrics_v1 AS
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
COMMENT ON VIEW bi.metrics_v1 IS 'The current value of each metric that was ever counted.';
COMMENT ON COLUMN bi.metrics_v1.type IS 'The type as in the API, such as seller_revenue:v-1.';
COMMENT ON COLUMN bi.metrics_v1.name IS 'The part of the type before the first colon.';
COMMENT ON COLUMN bi.metrics_v1.subject IS 'The id of the seller or product. NULL for the whole marketplace.';
COMMENT ON COLUMN bi.metrics_v1.currency IS 'The currency of revenue; NULL for anything else.';
COMMENT ON COLUMN bi.metrics_v1.value IS
    'Counters: the sum; revenue in minor units. Rates: basis points. Averages: times 100. NULL: a rate without a denominator, or a sum past the range.';
COMMENT ON COLUMN bi.metrics_v1.numerator IS 'Of a rate: orders. Of an average: the sum of stars.';
COMMENT ON COLUMN bi.metrics_v1.denominator IS 'Of a rate: views. Of an average: the number of ratings.';
COMMENT ON COLUMN bi.metrics_v1.updated_at IS 'When it last changed.';

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

CREATE VIEW bi.events_v1 AS
SELECT id, event_type, created_at AS happened_at, ingested_at AS logged_at, user_id, product_id, vendor_id, stars,
       metadata AS payload
FROM event_logs;
COMMENT ON VIEW bi.events_v1 IS 'Every event. The last second of them may not be counted yet.';
COMMENT ON COLUMN bi.events_v1.id IS 'Sorts by the time of the event: see bi.first_id.';
COMMENT ON COLUMN bi.events_v1.event_type IS 'Such as product.viewed.';
COMMENT ON COLUMN bi.events_v1.happened_at IS 'When it happened.';
COMMENT ON COLUMN bi.events_v1.logged_at IS 'When it was logged.';
COMMENT ON COLUMN bi.events_v1.user_id IS 'The user that it names.';
COMMENT ON COLUMN bi.events_v1.product_id IS 'The product of a view or a rating.';
COMMENT ON COLUMN bi.events_v1.vendor_id IS 'The seller of a view or a rating. Those of orders are in bi.order_lines_v1.';
COMMENT ON COLUMN bi.events_v1.stars IS 'The stars of a rating, 1 to 5.';
COMMENT ON COLUMN bi.events_v1.payload IS 'The payload, without the fields that REDACT_FIELDS names.';

CREATE VIEW bi.order_lines_v1 AS
SELECT l.event_id, e.created_at AS ordered_at, e.user_id, l.line, l.product_id, l.vendor_id, l.quantity, l.amount, l.currency
FROM order_lines l JOIN event_logs e ON e.id = l.event_id;
COMMENT ON VIEW bi.order_lines_v1 IS 'The lines of each order.';
COMMENT ON COLUMN bi.order_lines_v1.event_id IS 'bi.events_v1.id of the order. Sorts by its time: see bi.first_id.';
COMMENT ON COLUMN bi.order_lines_v1.ordered_at IS 'When it was ordered.';
COMMENT ON COLUMN bi.order_lines_v1.user_id IS 'The buyer.';
COMMENT ON COLUMN bi.order_lines_v1.line IS 'The position in the order, from 1.';
COMMENT ON COLUMN bi.order_lines_v1.product_id IS 'The product, if it is named.';
COMMENT ON COLUMN bi.order_lines_v1.vendor_id IS 'The seller, if it is named or known.';
COMMENT ON COLUMN bi.order_lines_v1.quantity IS 'Units.';
COMMENT ON COLUMN bi.order_lines_v1.amount IS 'The gross amount in minor units of the currency.';
COMMENT ON COLUMN bi.order_lines_v1.currency IS 'The currency.';

CREATE VIEW bi.ratings_v1 AS
SELECT CASE split_part(metric_type, ':', 1) WHEN 'seller_rating' THEN 'seller' ELSE 'product' END AS scope,
       bi.decoded(split_part(metric_type, ':', 2)) AS subject,
       user_id, stars, rated_at, event_id
FROM ratings;
COMMENT ON VIEW bi.ratings_v1 IS 'Each user''s latest rating of each seller and product.';
COMMENT ON COLUMN bi.ratings_v1.scope IS 'seller or product.';
COMMENT ON COLUMN bi.ratings_v1.subject IS 'The id of the seller or product.';
COMMENT ON COLUMN bi.ratings_v1.user_id IS 'Who rated.';
COMMENT ON COLUMN bi.ratings_v1.stars IS '1 to 5.';
COMMENT ON COLUMN bi.ratings_v1.rated_at IS 'When.';
COMMENT ON COLUMN bi.ratings_v1.event_id IS 'bi.events_v1.id of the rating.';

CREATE VIEW bi.names_v1 AS
SELECT CASE kind WHEN 'vendor' THEN 'seller' ELSE 'product' END AS scope, id AS subject, name, vendor_id, named_at
FROM directory;
COMMENT ON VIEW bi.names_v1 IS 'What sellers and products are called.';
COMMENT ON COLUMN bi.names_v1.scope IS 'seller or product.';
COMMENT ON COLUMN bi.names_v1.subject IS 'The id of the seller or product.';
COMMENT ON COLUMN bi.names_v1.name IS 'The latest name.';
COMMENT ON COLUMN bi.names_v1.vendor_id IS 'The seller that the event named for a product.';
COMMENT ON COLUMN bi.names_v1.named_at IS 'The time of the event.';

CREATE VIEW bi.freshness_v1 AS
SELECT consumer_group, topic, partition, counted_offset, high_watermark AS end_offset,
       greatest(high_watermark - CASE WHEN counted_offset < next_offset THEN counted_offset
                                      ELSE greatest(consumed_to, next_offset) END, 0) AS lag,
       last_event_time AS last_event_at, updated_at AS reported_at
FROM ingest_offsets;
COMMENT ON VIEW bi.freshness_v1 IS 'Up to where each partition of each topic is counted.';
COMMENT ON COLUMN bi.freshness_v1.consumer_group IS 'The consumer group of ingest.';
COMMENT ON COLUMN bi.freshness_v1.topic IS 'The topic in Kafka.';
COMMENT ON COLUMN bi.freshness_v1.partition IS 'Its partition.';
COMMENT ON COLUMN bi.freshness_v1.counted_offset IS 'The offset of the first record that is not counted yet.';
COMMENT ON COLUMN bi.freshness_v1.end_offset IS 'The end of the partition when it was reported.';
COMMENT ON COLUMN bi.freshness_v1.lag IS 'How many records are not counted yet. NULL: the end is not known.';
COMMENT ON COLUMN bi.freshness_v1.last_event_at IS 'The latest time of an event.';
COMMENT ON COLUMN bi.freshness_v1.reported_at IS 'When ingest last reported. If that is long ago, nobody counts.';

CREATE VIEW bi.dead_letters_v1 AS
SELECT id, topic, partition, "offset", reason, detail, state, created_at AS rejected_at
FROM dead_letters;
COMMENT ON VIEW bi.dead_letters_v1 IS 'Records that could not be counted, without their contents.';
COMMENT ON COLUMN bi.dead_letters_v1.id IS 'The id in the API.';
COMMENT ON COLUMN bi.dead_letters_v1.topic IS 'The topic of the record.';
COMMENT ON COLUMN bi.dead_letters_v1.partition IS 'Its partition.';
COMMENT ON COLUMN bi.dead_letters_v1."offset" IS 'Its offset.';
COMMENT ON COLUMN bi.dead_letters_v1.reason IS 'The code of the reason, such as invalid_amount.';
COMMENT ON COLUMN bi.dead_letters_v1.detail IS 'The reason in a sentence.';
COMMENT ON COLUMN bi.dead_letters_v1.state IS 'open, replayed or discarded.';
COMMENT ON COLUMN bi.dead_letters_v1.rejected_at IS 'When it was rejected.';

CREATE VIEW bi.proofs_v1 AS
SELECT id, proved_at, complete, drift, keys_checked, events_read, took_ms
FROM proofs;
COMMENT ON VIEW bi.proofs_v1 IS 'Results of recounting the event log and comparing it with the numbers.';
COMMENT ON COLUMN bi.proofs_v1.id IS 'The number of the proof.';
COMMENT ON COLUMN bi.proofs_v1.proved_at IS 'When the snapshot was taken.';
COMMENT ON COLUMN bi.proofs_v1.complete IS 'Whether all days were read, not only those that changed.';
COMMENT ON COLUMN bi.proofs_v1.drift IS 'How many numbers differed. Must be 0.';
COMMENT ON COLUMN bi.proofs_v1.keys_checked IS 'How many numbers were compared.';
COMMENT ON COLUMN bi.proofs_v1.events_read IS 'How many events were read.';
COMMENT ON COLUMN bi.proofs_v1.took_ms IS 'How long it took, in milliseconds.';
