-- Identities by which a second record is recognised as the same event.
CREATE TABLE event_keys (
    key uuid PRIMARY KEY,
    digest uuid NOT NULL,
    event_id uuid NOT NULL,
    arrived_on date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    names_order boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE event_keys IS
    'Hashes of explicit and natural identities. Kept for at least DEDUPE_DAYS after arrival.';
COMMENT ON COLUMN event_keys.digest IS
    'A hash of the normalized event: a second record with another digest is a conflict.';
COMMENT ON COLUMN event_keys.names_order IS
    'The key is the hash of an order id, by which cancellations and refunds find their order: to be kept longer than others.';

-- The vendor to which each product is known to belong.
CREATE TABLE product_vendors (
    product_id varchar(64) COLLATE "C" PRIMARY KEY,
    vendor_id varchar(64) COLLATE "C" NOT NULL,
    named_at timestamptz NOT NULL,
    event_id uuid NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX product_vendors_vendor ON product_vendors (vendor_id);
COMMENT ON TABLE product_vendors IS
    'Taken from views and order lines that named both product and vendor; the latest event time wins.';
