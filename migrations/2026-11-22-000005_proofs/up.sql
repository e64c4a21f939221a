-- What lets every number be counted again from the log, and what that came to.

ALTER TABLE event_logs ADD COLUMN seal bigint;
COMMENT ON COLUMN event_logs.seal IS
    'A checksum over what was decided. An event that was changed in the log alone breaks it. NULL: logged before there were seals.';

-- How many events were counted, apart from the log: a day whose log holds another number is not
-- what was counted, and a day that was proved is proved until its number changes.
CREATE TABLE event_days (
    day date NOT NULL,
    event_type varchar(100) COLLATE "C" NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (day, event_type)
) WITH (fillfactor = 70);
COMMENT ON COLUMN event_days.day IS 'The day in BUSINESS_TIMEZONE on which the events happened.';

INSERT INTO event_days (day, event_type, events)
SELECT (e.created_at AT TIME ZONE s.business_timezone)::date, e.event_type, count(*)
FROM event_logs e CROSS JOIN service_settings s
GROUP BY 1, 2;

CREATE TABLE proofs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    proved_at timestamptz NOT NULL,
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
