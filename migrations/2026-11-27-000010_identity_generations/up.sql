-- Identities are divided into generations, each a partition. Only the newest one takes new identities, so that
-- forgetting is dropping a table. Those of orders are kept longer, and have a table of their own.
ALTER TABLE event_keys RENAME TO event_keys_1;
ALTER TABLE event_keys_1 ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE event_keys_1 ALTER COLUMN generation DROP DEFAULT;
ALTER TABLE event_keys_1 DROP CONSTRAINT event_keys_pkey;

CREATE TABLE event_keys (
    key uuid NOT NULL,
    digest uuid NOT NULL,
    event_id uuid NOT NULL,
    generation integer NOT NULL,
    PRIMARY KEY (key, generation)
) PARTITION BY LIST (generation);
COMMENT ON TABLE event_keys IS
    'Hashes of explicit and natural identities, but for order ids. Kept for at least DEDUPE_DAYS after arrival.';
COMMENT ON COLUMN event_keys.digest IS
    'A hash of the normalized event: a second record with another digest is a conflict.';

CREATE TABLE order_keys (
    key uuid NOT NULL,
    digest uuid NOT NULL,
    event_id uuid NOT NULL,
    repeats integer NOT NULL DEFAULT 0,
    repeated_at timestamptz,
    generation integer NOT NULL,
    PRIMARY KEY (key, generation)
) PARTITION BY LIST (generation);
COMMENT ON TABLE order_keys IS
    'Hashes of order ids, by which cancellations and refunds find their order. Kept for at least REFUND_DAYS after arrival.';
COMMENT ON COLUMN order_keys.repeats IS
    'How many more records had the same content, and were ignored as duplicates.';
COMMENT ON COLUMN order_keys.repeated_at IS 'When the last of them arrived.';
CREATE TABLE order_keys_1 PARTITION OF order_keys FOR VALUES IN (1);
INSERT INTO order_keys SELECT key, digest, event_id, repeats, repeated_at, 1 FROM event_keys_1 WHERE names_order;
DELETE FROM event_keys_1 WHERE names_order;
ALTER TABLE event_keys_1
    DROP COLUMN arrived_on, DROP COLUMN names_order, DROP COLUMN repeats, DROP COLUMN repeated_at,
    ADD PRIMARY KEY (key, generation);
ALTER TABLE event_keys ATTACH PARTITION event_keys_1 FOR VALUES IN (1);
COMMENT ON COLUMN dead_letters.order_key IS
    'The key in order_keys of the order that the record is about. NULL: not an order, or its id could not be read.';

CREATE TABLE identity_generations (
    keys varchar(16) COLLATE "C" NOT NULL CHECK (keys IN ('event_keys', 'order_keys')),
    generation integer NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    PRIMARY KEY (keys, generation)
);
CREATE UNIQUE INDEX identity_generations_open ON identity_generations (keys) WHERE closed_at IS NULL;
COMMENT ON TABLE identity_generations IS 'The partitions of event_keys and order_keys. Exactly one of each is open.';
INSERT INTO identity_generations (keys, generation) VALUES ('event_keys', 1), ('order_keys', 1);

UPDATE schema_compatibility SET oldest_program = '20261127000010';
