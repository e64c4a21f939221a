ALTER TABLE ingest_topics DROP COLUMN optional;
DROP TABLE directory;
