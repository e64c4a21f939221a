-- Stores the dead letters of one batch. Their ids are derived from the records' places, so a record
-- that is rejected again is the same row.
INSERT INTO dead_letters (
    id, topic, partition, "offset", record_timestamp, key, headers, payload, payload_bytes, reason, detail, redacted,
    order_key
)
SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (id) DO NOTHING
