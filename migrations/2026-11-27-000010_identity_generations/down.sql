CREATE TABLE all_keys (
    key uuid PRIMARY KEY,
    digest uuid NOT NULL,
    event_id uuid NOT NULL,
    arrived_on date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    names_order boolean NOT NULL DEFAULT false,
    repeats integer NOT NULL DEFAULT 0,
    repeated_at timestamptz
);
INSERT INTO all_keys (key, digest, event_id) SELECT key, digest, event_id FROM event_keys;
INSERT INTO all_keys (key, digest, event_id, names_order, repeats, repeated_at)
SELECT key, digest, event_id, true, repeats, repeated_at FROM order_keys;
DROP TABLE identity_generations;
DROP TABLE order_keys;
DROP TABLE event_keys;
ALTER TABLE all_keys RENAME TO event_keys;
ALTER INDEX all_keys_pkey RENAME TO event_keys_pkey;
UPDATE schema_compatibility SET oldest_program = '20261127000009';
