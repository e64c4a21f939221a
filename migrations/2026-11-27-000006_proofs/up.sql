-- The results of verify: recounts of the event log.
CREATE TABLE proofs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    proved_at timestamptz NOT NULL,
    watermark bigint NOT NULL,
    complete boolean NOT NULL,
    rules_version smallint NOT NULL,
    days integer NOT NULL,
    days_read integer NOT NULL,
    events_read bigint NOT NULL,
    keys_checked bigint NOT NULL,
    drift bigint NOT NULL,
    digest uuid NOT NULL,
    offsets jsonb NOT NULL,
    differences jsonb NOT NULL,
    took_ms bigint NOT NULL
);
COMMENT ON TABLE proofs IS 'One row for each run of verify, which recounts the log and compares the numbers, in one snapshot.';
COMMENT ON COLUMN proofs.proved_at IS 'When the snapshot was taken.';
COMMENT ON COLUMN proofs.watermark IS 'The number of the last batch that the proof includes.';
COMMENT ON COLUMN proofs.complete IS 'Whether every day was read from the log. If not, days that were proved before and have not changed since were skipped.';
COMMENT ON COLUMN proofs.drift IS 'Number of differences. Anything but 0 is a defect, or the database was changed by hand.';
COMMENT ON COLUMN proofs.digest IS 'A hash of all numbers: equal digests mean equal numbers.';
COMMENT ON COLUMN proofs.offsets IS 'Up to where each partition was counted in that snapshot.';
COMMENT ON COLUMN proofs.differences IS 'The first differences, each with the stored value and the expected one.';

CREATE TABLE proved_days (
    day date PRIMARY KEY,
    events bigint NOT NULL,
    digest text NOT NULL
);
COMMENT ON TABLE proved_days IS 'Days whose log and rollups were found to agree. digest is that of the rollups at that time.';
