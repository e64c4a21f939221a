DO $$
BEGIN
    IF EXISTS (SELECT FROM batches WHERE number IS NULL) THEN
        RAISE EXCEPTION 'batches wait to be counted: start analytics-ingest and wait until there are none';
    END IF;
END
$$;
ALTER TABLE metrics SET (fillfactor = 70);
ALTER TABLE metrics DROP CONSTRAINT metrics_pkey;
ALTER TABLE metrics ADD PRIMARY KEY (id), ADD UNIQUE (type);
DROP FUNCTION saturating_add(bigint, bigint);
DROP FUNCTION stored_sum(numeric);
ALTER TABLE ingest_offsets DROP COLUMN counted_timestamp, DROP COLUMN counted_offset;
DROP INDEX batches_waiting;
ALTER TABLE batches
    DROP COLUMN learned, DROP COLUMN deltas, DROP COLUMN format, DROP COLUMN weight, DROP COLUMN records,
    DROP COLUMN logged_at;
UPDATE schema_compatibility SET oldest_program = '20261127000006';
