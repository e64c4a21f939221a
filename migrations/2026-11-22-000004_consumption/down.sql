DROP TABLE dead_letters;
DROP TABLE ingest_gaps;
DROP TABLE ingest_offsets;
