-- What products and vendors are called, and topics that may be absent.
CREATE TABLE directory (
    kind varchar(7) COLLATE "C" NOT NULL CHECK (kind IN ('product', 'vendor')),
    id varchar(64) COLLATE "C" NOT NULL,
    subject varchar(64) COLLATE "C" NOT NULL GENERATED ALWAYS AS (replace(replace(id, '%', '%25'), ':', '%3A')) STORED,
    name varchar(255) COLLATE "C" NOT NULL,
    folded text COLLATE "C" NOT NULL,
    vendor_id varchar(64) COLLATE "C",
    named_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (kind, id)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX directory_subject ON directory (kind, subject);
CREATE INDEX directory_folded ON directory (kind, folded);
CREATE INDEX directory_vendor ON directory (vendor_id) WHERE vendor_id IS NOT NULL;
COMMENT ON TABLE directory IS
    'The names of products and vendors, each of the event with the latest time. Nothing that is counted depends on it.';
COMMENT ON COLUMN directory.subject IS 'The id as metric types write it.';
COMMENT ON COLUMN directory.folded IS 'The name in lowercase, for searches.';
COMMENT ON COLUMN directory.vendor_id IS 'The vendor that the event named for the product. Attribution does not use it.';
COMMENT ON COLUMN directory.named_at IS 'The time of the event. Of equal times, the greater event_id applies.';

ALTER TABLE ingest_topics ADD COLUMN optional boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN ingest_topics.optional IS 'Whether the topic may be absent: it is idle then.';
