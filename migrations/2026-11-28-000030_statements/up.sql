-- What months came to for sellers, sealed; and for the marketplace.
CREATE TABLE statement_closings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    month date NOT NULL,
    as_of bigint NOT NULL,
    last_batch bigint NOT NULL,
    unseen_batches bigint[] NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
COMMENT ON TABLE statement_closings IS 'Runs that closed statements, each as of one batch.';
COMMENT ON COLUMN statement_closings.month IS 'Its first day.';
COMMENT ON COLUMN statement_closings.as_of IS 'The number of the last batch that its statements include: batches.number.';
COMMENT ON COLUMN statement_closings.last_batch IS
    'No batch with a greater id is included. Batches are deleted after a while; with this and unseen_batches it stays known which were included.';
COMMENT ON COLUMN statement_closings.unseen_batches IS 'Ids up to last_batch that are not included, or were never used.';
COMMENT ON COLUMN statement_closings.finished_at IS 'When every seller of the month had a statement. NULL: it was stopped, or closed some sellers only.';
CREATE INDEX statement_closings_finished ON statement_closings (month) WHERE finished_at IS NOT NULL;

CREATE TABLE statements (
    vendor_id varchar(64) COLLATE "C" NOT NULL,
    month date NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    position integer NOT NULL CHECK (position > 0),
    closing_id bigint NOT NULL REFERENCES statement_closings,
    closed_at timestamptz NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    key bytea NOT NULL CHECK (octet_length(key) = 32),
    csv text NOT NULL,
    PRIMARY KEY (vendor_id, month, version),
    UNIQUE (vendor_id, position)
);
COMMENT ON TABLE statements IS 'Statements of sellers. Rows are only added.';
COMMENT ON COLUMN statements.month IS 'Its first day.';
COMMENT ON COLUMN statements.version IS 'From 1. A later version restates the month.';
COMMENT ON COLUMN statements.position IS 'From 1, in the order in which the seller''s statements were closed. Each names the digest of the one before.';
COMMENT ON COLUMN statements.digest IS 'SHA-256 of the lines of csv before that of the digest.';
COMMENT ON COLUMN statements.key IS 'The Ed25519 public key that signs it.';
COMMENT ON COLUMN statements.csv IS 'The statement: see docs/operations/statements.md. Its JSON and its page are made of it.';
CREATE INDEX statements_key ON statements (key, closed_at);

-- Also the owner of the table does not change a statement by mistake.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'statements are never changed: a later version restates the month' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER statements_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON statements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE months (
    month date PRIMARY KEY,
    as_of bigint NOT NULL,
    complete boolean NOT NULL,
    calculated_at timestamptz NOT NULL DEFAULT now(),
    numbers jsonb NOT NULL
);
COMMENT ON TABLE months IS 'What months came to for the marketplace: sums of the rollups of their days.';
COMMENT ON COLUMN months.month IS 'Its first day.';
COMMENT ON COLUMN months.as_of IS 'The number of the last batch that the numbers include.';
COMMENT ON COLUMN months.complete IS 'The month was over, and everything of it was counted.';
COMMENT ON COLUMN months.numbers IS 'views, signups, orders, units, and by currency revenue, refunds and net, in minor units.';
