-- What adjustments changed: the metric type, and by how much. A delta that is not a number in the
-- range of bigint is returned as NULL; then the event's seal is broken.
SELECT e.id, e.metadata ->> 'type' AS metric_type,
    CASE WHEN jsonb_typeof(e.metadata -> 'delta') = 'number'
            AND (e.metadata -> 'delta')::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
        THEN (e.metadata -> 'delta')::numeric::bigint
    END AS delta
FROM event_logs e
WHERE e.id = ANY($1)
