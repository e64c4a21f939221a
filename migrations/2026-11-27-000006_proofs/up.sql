-- What verify counted again from the log, and the result.
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
COMMENT ON TABLE proofs IS 'Each run of verify: what the numbers were counted again to, as of one snapshot.';
COMMENT ON COLUMN proofs.proved_at IS 'When the snapshot was taken.';
COMMENT ON COLUMN proofs.watermark IS 'The number of the last batch that the proof includes.';
COMMENT ON COLUMN proofs.complete IS 'Every day was read from the log; else days that were proved before and have not changed since were not.';
COMMENT ON COLUMN proofs.drift IS 'How many keys differed. Anything but 0 is a defect or a hand in the database.';
COMMENT ON COLUMN proofs.digest IS 'A hash of all numbers: equal digests are equal numbers.';
COMMENT ON COLUMN proofs.offsets IS 'How far each partition was counted in that snapshot.';
COMMENT ON COLUMN proofs.differences IS 'The first differences, each with what was found and what it should be.';

CREATE TABLE proved_days (
    day date PRIMARY KEY,
    events bigint NOT NULL,
    digest text NOT NULL
);
COMMENT ON TABLE proved_days IS 'Days whose log was read and found equal to their rollups; digest is that of the rollups then.';
