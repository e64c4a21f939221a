-- Offsets of the present logs that are counted, although no range has what ingest was given of them, and no gap
-- says why it was given nothing: passed by a defect.
SELECT k.consumer_group, k.topic, k.partition, k.log_since, lower(h) AS from_offset, upper(h) AS to_offset,
    'they are counted up to there, but no range has them' AS reason
FROM (
    SELECT o.*, coalesce((
        SELECT range_agg(int8range(r.from_offset, r.to_offset))
        FROM offset_ranges r
        WHERE r.consumer_group = o.consumer_group AND r.topic = o.topic AND r.partition = o.partition
            AND r.log_since = o.log_since
    ), '{}') AS known
    FROM ingest_offsets o
    WHERE o.counted_offset > o.log_start
) AS k, unnest(int8multirange(int8range(k.log_start, k.counted_offset)) - k.known) AS h
ORDER BY k.consumer_group, k.topic, k.partition, lower(h)
