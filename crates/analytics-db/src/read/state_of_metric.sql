-- What changes with the events behind the metric $1: the transaction that last wrote its row, and of a
-- rating how many ratings the product $2 or the vendor $3 has.
SELECT m.xmin::text || CASE
    WHEN $2 IS NOT NULL THEN ':' || (
        SELECT count(*) FROM event_logs e WHERE e.event_type = 'rating.updated' AND e.product_id = $2
    )
    WHEN $3 IS NOT NULL THEN ':' || (
        SELECT count(*) FROM event_logs e WHERE e.event_type = 'rating.updated' AND e.vendor_id = $3
    )
    ELSE ''
END AS state
FROM metrics m
WHERE m.type = $1
