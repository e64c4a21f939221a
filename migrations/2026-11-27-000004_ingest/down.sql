DROP TABLE ingest_gaps;
DROP TABLE ingest_topics;
DROP TABLE ingest_offsets;
