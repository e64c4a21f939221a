-- Cancellations and refunds: what they say, and what that came to.
ALTER TABLE rollups
    ADD COLUMN refunds bigint,
    ADD COLUMN refunded_units bigint,
    ADD COLUMN cancelled_orders bigint,
    ADD COLUMN excess_refunds bigint;

CREATE TABLE reversals (
    event_id uuid PRIMARY KEY,
    order_key uuid NOT NULL,
    batch_id bigint NOT NULL,
    claim jsonb NOT NULL,
    order_id uuid
) WITH (fillfactor = 80);
COMMENT ON TABLE reversals IS 'What each cancellation and refund in event_logs says.';
COMMENT ON COLUMN reversals.order_key IS 'The hash of the order''s id, as in order_keys.';
COMMENT ON COLUMN reversals.batch_id IS 'The batch that logged it: batches.id.';
COMMENT ON COLUMN reversals.claim IS
    'A cancellation or refund of the whole order, of an amount, or of items. Amounts are as they were written, as coefficient and exponent.';
COMMENT ON COLUMN reversals.order_id IS 'The order''s event. NULL: it waits for its order.';
CREATE INDEX reversals_order ON reversals (order_key);
CREATE INDEX reversals_of_order ON reversals (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX reversals_waiting ON reversals (order_key) WHERE order_id IS NULL;

CREATE TABLE reversal_entries (
    event_id uuid NOT NULL,
    line integer NOT NULL,
    currency varchar(3) COLLATE "C" NOT NULL,
    batch_id bigint NOT NULL,
    units bigint NOT NULL,
    amount bigint NOT NULL,
    excess bigint NOT NULL,
    cancelled smallint NOT NULL,
    PRIMARY KEY (event_id, line, currency, batch_id)
);
COMMENT ON TABLE reversal_entries IS
    'What reversals came to. Rows are only added: what changes because another reversal arrived later is a row with the difference.';
COMMENT ON COLUMN reversal_entries.event_id IS 'The reversal.';
COMMENT ON COLUMN reversal_entries.line IS 'The line of the order, from 1; 0: of no line.';
COMMENT ON COLUMN reversal_entries.currency IS 'Empty where there is no amount.';
COMMENT ON COLUMN reversal_entries.batch_id IS 'The batch that booked it: batches.id.';
COMMENT ON COLUMN reversal_entries.amount IS 'Taken back of the line, in minor units.';
COMMENT ON COLUMN reversal_entries.excess IS 'Told beyond what was left of the order, in minor units. Not part of any revenue.';
COMMENT ON COLUMN reversal_entries.cancelled IS '1: the order is cancelled as a whole.';

ALTER TABLE batches ADD COLUMN orders uuid[], ADD COLUMN reversed uuid[];
COMMENT ON COLUMN batches.orders IS 'The keys of its orders. NULL once it is counted.';
COMMENT ON COLUMN batches.reversed IS 'The keys of the orders that its reversals are about. NULL once it is counted.';

ALTER TABLE watermark ADD COLUMN derived bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN watermark.derived IS
    'Equal to number if net revenue and refund rates are counted up to it. Programs that do not know them move only number; then they are calculated again.';

CREATE OR REPLACE VIEW metric_rollups AS
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
    (CASE r.scope WHEN 't' THEN 'total_refunds' WHEN 'u' THEN 'unattributed_refunds'
                  WHEN 's' THEN 'seller_refunds' WHEN 'p' THEN 'product_refunds' END, r.refunds),
    (CASE r.scope WHEN 't' THEN 'total_net_revenue' WHEN 's' THEN 'seller_net_revenue' END,
        CASE WHEN num_nonnulls(r.revenue, r.refunds) > 0
             THEN saturating_add(coalesce(r.revenue, 0), -coalesce(r.refunds, 0)) END),
    (CASE r.scope WHEN 't' THEN 'refunded_units' END, r.refunded_units),
    (CASE r.scope WHEN 't' THEN 'cancelled_orders' END, r.cancelled_orders),
    (CASE r.scope WHEN 't' THEN 'excess_refunds' END, r.excess_refunds),
    (CASE WHEN r.scope = 't' AND r.granularity = 'd' THEN 'daily_signups:' || (
        SELECT to_char(r.bucket_start AT TIME ZONE 'UTC' + make_interval(secs => c.utc_offset), 'YYYY-MM-DD')
        FROM business_clock c WHERE c.starts_at <= r.bucket_start ORDER BY c.starts_at DESC LIMIT 1) END, r.signups)
) AS m(name, value)
WHERE m.name IS NOT NULL AND m.value IS NOT NULL;

-- For SQL clients. Views keep their columns; new ones come last.
CREATE OR REPLACE VIEW bi.metrics_v1 AS
SELECT m.type,
       split_part(m.type, ':', 1) AS name,
       bi.decoded(CASE WHEN k.of_marketplace THEN NULL ELSE nullif(split_part(m.type, ':', 2), '') END) AS subject,
       (CASE WHEN k.of_money THEN coalesce(nullif(split_part(m.type, ':', CASE WHEN k.of_marketplace THEN 2 ELSE 3 END), ''), s.base_currency) END)::text AS currency,
       bi.known(m.value) AS value,
       coalesce(m.numerator, histogram_sum(m.histogram)) AS numerator,
       coalesce(m.denominator, histogram_count(m.histogram)) AS denominator,
       m.updated_at
FROM metrics m CROSS JOIN service_settings s
CROSS JOIN LATERAL (SELECT
    split_part(m.type, ':', 1) IN ('total_revenue', 'unattributed_revenue', 'total_refunds', 'unattributed_refunds',
        'excess_refunds', 'total_net_revenue') AS of_marketplace,
    split_part(m.type, ':', 1) IN ('total_revenue', 'unattributed_revenue', 'total_refunds', 'unattributed_refunds',
        'excess_refunds', 'total_net_revenue', 'seller_revenue', 'product_revenue', 'seller_refunds', 'product_refunds',
        'seller_net_revenue', 'refund_rate') AS of_money) AS k;
COMMENT ON COLUMN bi.metrics_v1.currency IS 'The currency of revenue and refunds, and of refund rates; NULL for anything else.';

CREATE OR REPLACE VIEW bi.hours_v1 AS
SELECT r.bucket_start AS starts_at,
       CASE r.scope WHEN 't' THEN 'marketplace' WHEN 'u' THEN 'unattributed' WHEN 's' THEN 'seller' ELSE 'product' END AS scope,
       bi.decoded(nullif(r.subject, '')) AS subject,
       coalesce(nullif(r.currency, ''), s.base_currency) AS currency,
       bi.known(r.views) AS views,
       bi.known(r.signups) AS signups,
       bi.known(r.orders) AS orders,
       bi.known(r.units) AS units,
       bi.known(r.revenue) AS revenue,
       bi.known(r.refunds) AS refunds
FROM rollups r CROSS JOIN service_settings s
WHERE r.granularity = 'h';
COMMENT ON COLUMN bi.hours_v1.refunds IS 'What cancellations and refunds of this hour took back of revenue, in minor units of the currency.';

CREATE OR REPLACE VIEW bi.days_v1 AS
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
       bi.known(r.revenue) AS revenue,
       bi.known(r.refunds) AS refunds
FROM rollups r CROSS JOIN service_settings s
WHERE r.granularity = 'd';
COMMENT ON COLUMN bi.days_v1.refunds IS 'What cancellations and refunds of this day took back of revenue, in minor units of the currency.';

CREATE VIEW bi.reversals_v1 AS
SELECT r.event_id, e.created_at AS happened_at, r.order_id, n.line, l.product_id, l.vendor_id,
       nullif(n.currency, '') AS currency, sum(n.units)::bigint AS units, sum(n.amount)::bigint AS amount,
       sum(n.excess)::bigint AS excess, sum(n.cancelled)::bigint AS cancelled
FROM reversals r
JOIN event_logs e ON e.id = r.event_id
LEFT JOIN reversal_entries n ON n.event_id = r.event_id
LEFT JOIN order_lines l ON l.event_id = r.order_id AND l.line = n.line
GROUP BY r.event_id, e.created_at, n.line, l.product_id, l.vendor_id, n.currency;
COMMENT ON VIEW bi.reversals_v1 IS
    'What cancellations and refunds took back of each line of their orders. One that waits for its order has one row without numbers.';
COMMENT ON COLUMN bi.reversals_v1.event_id IS 'bi.events_v1.id of the cancellation or refund. Sorts by its time: see bi.first_id.';
COMMENT ON COLUMN bi.reversals_v1.happened_at IS 'When it happened.';
COMMENT ON COLUMN bi.reversals_v1.order_id IS 'bi.events_v1.id of the order. NULL: it waits for it.';
COMMENT ON COLUMN bi.reversals_v1.line IS 'The line of the order, from 1; 0: of no line.';
COMMENT ON COLUMN bi.reversals_v1.product_id IS 'The product of the line.';
COMMENT ON COLUMN bi.reversals_v1.vendor_id IS 'The seller of the line.';
COMMENT ON COLUMN bi.reversals_v1.currency IS 'The currency of the amounts.';
COMMENT ON COLUMN bi.reversals_v1.units IS 'Units taken back.';
COMMENT ON COLUMN bi.reversals_v1.amount IS 'Taken back, in minor units.';
COMMENT ON COLUMN bi.reversals_v1.excess IS 'Told beyond what was left, in minor units.';
COMMENT ON COLUMN bi.reversals_v1.cancelled IS '1: the order was cancelled as a whole.';
