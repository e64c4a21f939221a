-- A page of the event log. Bounds by id come first: they find the partitions.
SELECT e.id, e.event_type, e.user_id, e.metadata, e.created_at, e.ingested_at
FROM event_logs e
WHERE ($5 IS NULL OR e.id >= $5)
    AND ($6 IS NULL OR e.id < $6)
    AND ($1 IS NULL OR e.event_type = $1)
    AND ($2 IS NULL OR e.user_id = $2)
    AND ($3 IS NULL OR e.created_at >= $3)
    AND ($4 IS NULL OR e.created_at < $4)
    AND $8 IS NULL AND $9 IS NULL
ORDER BY e.id DESC
LIMIT $7
