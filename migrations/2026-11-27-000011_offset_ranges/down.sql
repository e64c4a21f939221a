ALTER TABLE proofs DROP COLUMN coverage;
DROP TABLE offset_ranges;
ALTER TABLE ingest_offsets DROP COLUMN log_since, DROP COLUMN log_start;
ALTER TABLE batches DROP COLUMN ends, DROP COLUMN delivered, DROP COLUMN digests, DROP COLUMN logs;
UPDATE schema_compatibility SET oldest_program = '20261127000010';
