-- Dead letters that can be lived with: bounded, replayed, discarded, with a trace of who did it.
ALTER TABLE dead_letters
    ADD COLUMN state varchar(10) COLLATE "C" NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'replayed', 'discarded')),
    ADD COLUMN payload_bytes bigint;
UPDATE dead_letters SET payload_bytes = length(payload);
COMMENT ON COLUMN dead_letters.state IS
    'replayed: what the record says is counted by now; discarded: somebody decided against it, its bytes are gone.';
COMMENT ON COLUMN dead_letters.payload_bytes IS
    'How many bytes the record had; more than payload has where DEAD_LETTER_MAX_BYTES cut it. NULL: a tombstone.';

CREATE TABLE dead_letter_actions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dead_letter_id uuid NOT NULL REFERENCES dead_letters ON DELETE CASCADE,
    action varchar(10) COLLATE "C" NOT NULL CHECK (action IN ('replay', 'discard', 'reread')),
    acted_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    result varchar(10) COLLATE "C" NOT NULL CHECK (result IN ('counted', 'duplicate', 'rejected', 'discarded')),
    event_id uuid,
    detail text,
    corrected bytea
);
COMMENT ON TABLE dead_letter_actions IS 'What was done with dead letters: by whom, when, and what came of it.';
COMMENT ON COLUMN dead_letter_actions.action IS 'reread: ingest read the record again and could count it.';
COMMENT ON COLUMN dead_letter_actions.corrected IS 'The payload that was counted instead of the original, if one was given.';

CREATE INDEX dead_letter_actions_letter ON dead_letter_actions (dead_letter_id, id);
CREATE INDEX dead_letters_open ON dead_letters (reason, created_at) WHERE state = 'open';
CREATE INDEX dead_letters_topic ON dead_letters (topic, id);
CREATE INDEX dead_letters_place ON dead_letters (topic, partition, "offset");
CREATE INDEX dead_letters_created ON dead_letters (created_at);
