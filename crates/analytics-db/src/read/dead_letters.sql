-- A page of dead letters, newest records first. Their contents, which may be megabytes each, are
-- read one by one instead.
SELECT d.id, d.topic, d.partition, d."offset", d.record_timestamp, d.payload_bytes,
    d.reason, d.detail, d.state, d.created_at
FROM dead_letters d
WHERE (cardinality($1) = 0 OR d.id = ANY($1))
    AND ($2 IS NULL OR d.state = $2)
    AND ($3 IS NULL OR d.reason = $3)
    AND ($4 IS NULL OR d.topic = $4)
    AND ($5 IS NULL OR d.created_at >= $5)
    AND ($6 IS NULL OR d.created_at < $6)
    AND ($7 IS NULL OR d.id < $7)
ORDER BY d.id DESC
LIMIT $8
