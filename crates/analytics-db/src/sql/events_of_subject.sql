-- A page of the events about a product, a vendor, or one of one: their own columns (views,
-- ratings), and the lines of orders, each newest first, then the newest of both.
WITH own AS (
    SELECT e.id
    FROM event_logs e
    WHERE ($5 IS NULL OR e.id >= $5)
        AND ($6 IS NULL OR e.id < $6)
        AND ($8 IS NULL OR e.product_id = $8)
        AND ($9 IS NULL OR e.vendor_id = $9)
        AND ($1 IS NULL OR e.event_type = $1)
        AND ($2 IS NULL OR e.user_id = $2)
        AND ($3 IS NULL OR e.created_at >= $3)
        AND ($4 IS NULL OR e.created_at < $4)
    ORDER BY e.id DESC
    LIMIT $7
),
of_lines AS (
    SELECT DISTINCT l.event_id AS id
    FROM order_lines l
    JOIN event_logs e ON e.id = l.event_id
    WHERE ($5 IS NULL OR l.event_id >= $5)
        AND ($6 IS NULL OR l.event_id < $6)
        AND ($8 IS NULL OR l.product_id = $8)
        AND ($9 IS NULL OR l.vendor_id = $9)
        AND ($1 IS NULL OR e.event_type = $1)
        AND ($2 IS NULL OR e.user_id = $2)
        AND ($3 IS NULL OR e.created_at >= $3)
        AND ($4 IS NULL OR e.created_at < $4)
    ORDER BY id DESC
    LIMIT $7
)
SELECT e.id, e.event_type, e.user_id, e.metadata, e.created_at, e.ingested_at
FROM (SELECT id FROM own UNION SELECT id FROM of_lines) AS found
JOIN event_logs e USING (id)
ORDER BY e.id DESC
LIMIT $7
