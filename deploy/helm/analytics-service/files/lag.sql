SELECT coalesce(sum(greatest(high_watermark - greatest(next_offset, coalesce(consumed_to, 0)), 0)), 0)::double precision
FROM ingest_offsets
JOIN ingest_topics USING (consumer_group, topic)
WHERE consumer_group = :group AND wanted
