-- Enabled triggers, on the tables that counting writes and on their partitions, that neither a migration
-- nor an exchange of partitions (tables/partitions/exchange.rs) created.
SELECT DISTINCT t.tgname || ' on ' || coalesce(i.inhparent, t.tgrelid)::regclass AS named
FROM pg_trigger t
LEFT JOIN pg_inherits i ON i.inhrelid = t.tgrelid
WHERE NOT t.tgisinternal
    AND t.tgenabled <> 'D'
    AND coalesce(i.inhparent, t.tgrelid) IN (
        SELECT to_regclass(own) FROM unnest(ARRAY[
            'event_logs', 'order_lines', 'event_keys', 'order_keys', 'event_days', 'product_vendors', 'ratings', 'metrics',
            'rollups', 'ingest_offsets', 'ingest_topics', 'ingest_gaps', 'offset_ranges', 'dead_letters', 'dead_letter_actions',
            'dead_letter_usage', 'dead_letter_overflow'
        ]) AS own
    )
    AND t.tgname NOT IN ('dead_letters_inserted', 'dead_letters_updated', 'dead_letters_deleted',
        'dead_letters_truncated', 'note_exchange_change')
ORDER BY named
