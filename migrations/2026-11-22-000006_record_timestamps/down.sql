ALTER TABLE ingest_offsets
    DROP COLUMN last_record_timestamp,
    DROP COLUMN last_record_offset;
