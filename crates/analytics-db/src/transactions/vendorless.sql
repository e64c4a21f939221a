-- Events after $1 of which a part has no vendor although the vendor of its product is known now, at
-- most $2. $3 are the types of events that consist of one part.
SELECT id
FROM (
    (SELECT e.id
     FROM event_logs e JOIN product_vendors p USING (product_id)
     WHERE e.vendor_id IS NULL AND e.event_type = ANY ($3) AND e.id > $1
     ORDER BY e.id LIMIT $2)
    UNION
    (SELECT l.event_id
     FROM order_lines l JOIN product_vendors p USING (product_id)
     WHERE l.vendor_id IS NULL AND l.event_id > $1
     ORDER BY l.event_id LIMIT $2)
) AS found (id)
ORDER BY id
LIMIT $2
