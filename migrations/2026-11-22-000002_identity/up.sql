-- Identities that producers gave, by which a second record is recognised as the same event.
CREATE TABLE event_keys (
    key uuid PRIMARY KEY,
    digest uuid NOT NULL,
    event_id uuid NOT NULL,
    arrived_on date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date
);
COMMENT ON TABLE event_keys IS
    'Hashes of explicit and natural identities. Kept for DEDUPE_DAYS after arrival at least.';
COMMENT ON COLUMN event_keys.digest IS
    'A hash of the normalized event: a second record with another digest contradicts the first.';

-- Each user's latest rating of each target.
CREATE TABLE ratings (
    metric_type varchar(100) COLLATE "C" NOT NULL,
    user_id varchar(255) COLLATE "C" NOT NULL,
    stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    rated_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (metric_type, user_id)
) WITH (fillfactor = 80);
COMMENT ON COLUMN ratings.metric_type IS 'The metric it counts for, such as product_rating:p-1.';

-- Who sold a product last, as far as events said.
CREATE TABLE product_vendors (
    product_id varchar(64) COLLATE "C" PRIMARY KEY,
    vendor_id varchar(64) COLLATE "C" NOT NULL,
    named_at timestamptz NOT NULL,
    event_id uuid NOT NULL
) WITH (fillfactor = 80);
COMMENT ON TABLE product_vendors IS
    'Learned from views and order lines that named product and vendor; the latest event time stands.';
