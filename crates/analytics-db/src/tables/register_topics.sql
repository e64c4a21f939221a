-- The topics of a group, as the broker reports them now. $2 are the names, $3 the numbers of
-- partitions, $4 whether they may be absent.
INSERT INTO ingest_topics AS t (consumer_group, topic, partitions_at_first, partitions, optional)
SELECT $1, a.topic, a.partitions, a.partitions, a.optional
FROM unnest($2, $3, $4) AS a (topic, partitions, optional)
ORDER BY a.topic
ON CONFLICT (consumer_group, topic) DO UPDATE
SET partitions = excluded.partitions, optional = excluded.optional, wanted = true, updated_at = now()
