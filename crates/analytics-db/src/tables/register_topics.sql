-- The topics of a group, as the broker reports them now. $2 are the names, $3 the numbers of
-- partitions.
INSERT INTO ingest_topics AS t (consumer_group, topic, partitions_at_first, partitions)
SELECT $1, a.topic, a.partitions, a.partitions
FROM unnest($2, $3) AS a (topic, partitions)
ORDER BY a.topic
ON CONFLICT (consumer_group, topic) DO UPDATE
SET partitions = excluded.partitions, wanted = true, updated_at = now()
