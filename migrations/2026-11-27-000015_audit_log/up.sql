-- Who changed what by hand, and when: each row is written in the transaction of the change. Rows are
-- only added: no role but the owner may change or delete them.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    acted_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action varchar(40) COLLATE "C" NOT NULL,
    subject text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE audit_log IS
    'Administrative writes: adjustments, replays, discarded dead letters, offsets, rebuilds, indexes, migrations.';
COMMENT ON COLUMN audit_log.actor IS
    'The email, or else the id, in the token of the request; for jobs, what --actor names: by default the user of the shell.';
COMMENT ON COLUMN audit_log.subject IS 'What was changed, such as a metric type or a partition.';
CREATE INDEX audit_log_acted ON audit_log (acted_at);

-- What earlier versions recorded elsewhere. They recorded neither offsets that were set nor who repaired numbers.
INSERT INTO audit_log (acted_at, actor, action, subject, detail)
SELECT * FROM (
    SELECT ingested_at, coalesce(metadata ->> 'actor', ''), 'metric.adjust', coalesce(metadata ->> 'type', ''),
        jsonb_strip_nulls(jsonb_build_object('eventId', id, 'delta', metadata -> 'delta', 'value', metadata -> 'value',
            'previous', metadata -> 'previous', 'reason', metadata -> 'reason'))
    FROM event_logs WHERE event_type = 'metric.adjusted'
    UNION ALL
    SELECT acted_at, actor, 'dead_letters.' || action, 'dead letters: ' || count(*),
        jsonb_build_object('results', jsonb_object_agg(dead_letter_id, result))
    FROM dead_letter_actions WHERE action IN ('replay', 'discard')
    GROUP BY acted_at, actor, action
) AS recorded (acted_at, actor, action, subject, detail)
ORDER BY acted_at;

-- Ingest adds the newest events to the small indexes, which PostgreSQL lets only their owner do. With the
-- privileges of the owner, a role of its own can.
CREATE FUNCTION summarize_newest(log_partition regclass, most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ranges bigint;
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_inherits WHERE inhrelid = log_partition
            AND inhparent IN ('public.event_logs'::regclass, 'public.order_lines'::regclass)) THEN
        RAISE EXCEPTION '% is not a partition of the event log', log_partition;
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE NOWAIT', log_partition);
    -- Adds ranges of pages to the BRIN indexes, the newest first, until one that is in it, at most `most`. The
    -- last few ranges are left out: events are still added to their pages.
    WITH RECURSIVE walk (index, block, added, step) AS (
        SELECT i.indexrelid::regclass, l.block, brin_summarize_range(i.indexrelid::regclass, l.block), 1
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_am a ON a.oid = c.relam AND a.amname = 'brin'
        -- Ranges are of 8 pages.
        CROSS JOIN LATERAL (
            SELECT (pg_relation_size(i.indrelid) / current_setting('block_size')::bigint / 8 - 4) * 8
        ) AS l (block)
        WHERE i.indrelid = log_partition AND l.block >= 0
        UNION ALL
        SELECT w.index, w.block - 8, brin_summarize_range(w.index, w.block - 8), w.step + 1
        FROM walk w
        WHERE w.added > 0 AND w.block >= 8 AND w.step < most
    )
    SELECT coalesce(sum(w.added), 0) INTO ranges FROM walk w;
    RETURN ranges;
END
$$;
COMMENT ON FUNCTION summarize_newest IS 'Adds the newest ranges of pages to the BRIN indexes of a partition, and returns how many.';
REVOKE EXECUTE ON FUNCTION summarize_newest FROM PUBLIC;
