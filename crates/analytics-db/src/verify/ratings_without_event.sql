-- Current ratings by events with ids from $1 up to $2 (exclusive) that the log does not contain, or
-- contains with other values.
SELECT r.metric_type, r.user_id
FROM unnest($1, $2) AS d (first, last)
JOIN ratings r ON r.event_id >= d.first AND r.event_id < d.last
LEFT JOIN event_logs e ON e.id = r.event_id AND e.event_type = 'rating.updated'
WHERE e.id IS NULL
    OR e.user_id IS DISTINCT FROM r.user_id
    OR e.stars IS DISTINCT FROM r.stars
    OR e.created_at IS DISTINCT FROM r.rated_at
    -- Ids in metric types are percent-encoded.
    OR (r.metric_type IS DISTINCT FROM
            'product_rating:' || replace(replace(e.product_id, '%', '%25'), ':', '%3A')
        AND r.metric_type IS DISTINCT FROM
            'seller_rating:' || replace(replace(e.vendor_id, '%', '%25'), ':', '%3A'))
