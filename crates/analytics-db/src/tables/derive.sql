-- Calculates net revenue and refund rates from gross revenue and refunds, where they are not what is stored. Types
-- of the same subject and currency end alike.
WITH parts AS (
    SELECT 'seller' AS scope, substr(type, length('seller_revenue') + 1) AS rest, value AS gross, NULL::bigint AS refunds
    FROM metrics WHERE type >= 'seller_revenue:' AND type < 'seller_revenue;' AND value IS NOT NULL
    UNION ALL
    SELECT 'seller', substr(type, length('seller_refunds') + 1), NULL, value
    FROM metrics WHERE type >= 'seller_refunds:' AND type < 'seller_refunds;' AND value IS NOT NULL
    UNION ALL
    SELECT 'total', substr(type, length('total_revenue') + 1), value, NULL
    FROM metrics WHERE (type = 'total_revenue' OR (type >= 'total_revenue:' AND type < 'total_revenue;')) AND value IS NOT NULL
    UNION ALL
    SELECT 'total', substr(type, length('total_refunds') + 1), NULL, value
    FROM metrics WHERE (type = 'total_refunds' OR (type >= 'total_refunds:' AND type < 'total_refunds;')) AND value IS NOT NULL
), sums AS (
    SELECT scope, rest, coalesce(max(gross), 0) AS gross, coalesce(max(refunds), 0) AS refunds FROM parts GROUP BY scope, rest
), net AS (
    INSERT INTO metrics AS m (type, value)
    SELECT scope || '_net_revenue' || rest, saturating_add(gross, -refunds) FROM sums
    ON CONFLICT (type) DO UPDATE SET value = excluded.value, updated_at = now()
    WHERE m.value IS DISTINCT FROM excluded.value
)
INSERT INTO metrics AS m (type, value, numerator, denominator, metadata)
SELECT 'refund_rate' || rest, metric_ratio(refunds, gross, $1), refunds, gross, ratio_metadata(refunds, gross)
FROM sums WHERE scope = 'seller'
ON CONFLICT (type) DO UPDATE
SET (numerator, denominator, value, metadata, updated_at) =
    (excluded.numerator, excluded.denominator, excluded.value, excluded.metadata, now())
WHERE (m.numerator, m.denominator) IS DISTINCT FROM (excluded.numerator, excluded.denominator)
