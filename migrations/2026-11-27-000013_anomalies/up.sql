-- Where numbers were not what they usually are, as `analytics-jobs anomalies` found.
CREATE TABLE anomalies (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    type varchar(200) COLLATE "C" NOT NULL,
    vendor_id varchar(64) COLLATE "C",
    granularity "char" NOT NULL CHECK (granularity IN ('h', 'd')),
    verdict varchar(10) COLLATE "C" NOT NULL CHECK (verdict IN ('drop', 'surge', 'delayed', 'unknown')),
    state varchar(12) COLLATE "C" NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
    from_time timestamptz NOT NULL,
    to_time timestamptz NOT NULL,
    judged_until timestamptz NOT NULL,
    observed double precision NOT NULL,
    expected double precision NOT NULL,
    lower double precision NOT NULL,
    upper double precision NOT NULL,
    confidence double precision NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by varchar(255),
    comment text
);
-- However many runs there are, at once or again, a subject has one anomaly that is not resolved.
CREATE UNIQUE INDEX anomalies_open ON anomalies (type) WHERE state <> 'resolved';
CREATE INDEX anomalies_type ON anomalies (type, from_time);
CREATE INDEX anomalies_opened ON anomalies (opened_at, id);
CREATE INDEX anomalies_vendor ON anomalies (vendor_id, opened_at, id) WHERE vendor_id IS NOT NULL;
COMMENT ON TABLE anomalies IS 'Where numbers were not what they usually are, as analytics-jobs anomalies found.';
COMMENT ON COLUMN anomalies.type IS
    'What was judged: a metric type; total_conversion; events:<event type>; or freshness, of the numbers themselves.';
COMMENT ON COLUMN anomalies.vendor_id IS 'The seller that it is about. NULL: it is for admins only.';
COMMENT ON COLUMN anomalies.granularity IS 'h: hours were judged, d: days.';
COMMENT ON COLUMN anomalies.verdict IS
    'drop, surge: of the numbers. delayed, unknown: of the pipeline, whose numbers are not complete.';
COMMENT ON COLUMN anomalies.from_time IS 'The start of the first bucket outside of the band; to_time is the end of the last.';
COMMENT ON COLUMN anomalies.judged_until IS 'The end of the last bucket that was judged. A run that saw less changes nothing.';
COMMENT ON COLUMN anomalies.observed IS
    'The value of the bucket that is the furthest outside of the band, lower to upper. Rates: in basis points. freshness: in seconds.';
COMMENT ON COLUMN anomalies.confidence IS 'The share of comparable earlier buckets that were closer to what was expected.';
