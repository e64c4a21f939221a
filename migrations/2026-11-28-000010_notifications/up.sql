-- What NOTIFY_WEBHOOK_URL is told: written in the transaction that notices it, delivered afterwards, so that
-- neither a crash nor a receiver that is away loses one.
CREATE TABLE notifications (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number bigint GENERATED ALWAYS AS IDENTITY,
    topic varchar(10) COLLATE "C" NOT NULL CHECK (topic IN ('anomalies', 'verify', 'week')),
    state text COLLATE "C" NOT NULL,
    body text NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    failure text,
    delivered_at timestamptz
);
CREATE UNIQUE INDEX notifications_week ON notifications (state) WHERE topic = 'week';
CREATE INDEX notifications_waiting ON notifications (number) WHERE delivered_at IS NULL;
CREATE INDEX notifications_topic ON notifications (topic, number);
COMMENT ON TABLE notifications IS 'What the webhook is told, and what was delivered.';
COMMENT ON COLUMN notifications.id IS 'The header webhook-id, the same in every attempt.';
COMMENT ON COLUMN notifications.state IS
    'What it is about. verify: what differs, one a line, empty for nothing; the same is not told twice in a row. '
    'week: the week and the seller, which are told once.';
COMMENT ON COLUMN notifications.body IS 'The JSON that is sent, the same in every attempt.';
COMMENT ON COLUMN notifications.failure IS 'Why the last attempt failed.';
COMMENT ON COLUMN notifications.delivered_at IS 'When the receiver answered with 2xx. NULL: not yet.';

ALTER TABLE anomalies ADD COLUMN notified varchar(8) COLLATE "C" CHECK (notified IN ('opened', 'resolved'));
COMMENT ON COLUMN anomalies.notified IS 'What a notification said last. NULL: there was none.';
