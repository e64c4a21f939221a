-- The last hour and day of each series of the marketplace that was judged, unusual or not: what Prometheus is told.
CREATE TABLE judgements (
    type varchar(200) COLLATE "C" NOT NULL,
    granularity "char" NOT NULL CHECK (granularity IN ('h', 'd')),
    from_time timestamptz NOT NULL,
    to_time timestamptz NOT NULL,
    observed double precision NOT NULL,
    expected double precision NOT NULL,
    lower double precision NOT NULL,
    upper double precision NOT NULL,
    PRIMARY KEY (type, granularity)
);
COMMENT ON TABLE judgements IS
    'The last hour and day of each series of the marketplace that analytics-jobs anomalies judged, unusual or not.';
COMMENT ON COLUMN judgements.type IS 'As in anomalies.';
COMMENT ON COLUMN judgements.from_time IS 'The start of the hour or day; to_time is its end.';
COMMENT ON COLUMN judgements.observed IS 'Its value, as in anomalies: expected to be between lower and upper.';
