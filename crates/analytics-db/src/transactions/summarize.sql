-- Adds ranges of pages to the BRIN index of the table $1, the newest first, until one that is in it, at
-- most $2. The last few ranges are left out: events are still added to their pages.
WITH RECURSIVE walk (index, block, added, step) AS (
    SELECT i.indexrelid::regclass, l.block, brin_summarize_range(i.indexrelid::regclass, l.block), 1
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am a ON a.oid = c.relam AND a.amname = 'brin'
    -- Ranges are of 8 pages.
    CROSS JOIN LATERAL (
        SELECT (pg_relation_size(i.indrelid) / current_setting('block_size')::bigint / 8 - 4) * 8
    ) AS l (block)
    WHERE i.indrelid = $1::regclass AND l.block >= 0
    UNION ALL
    SELECT w.index, w.block - 8, brin_summarize_range(w.index, w.block - 8), w.step + 1
    FROM walk w
    WHERE w.added > 0 AND w.block >= 8 AND w.step < $2
)
SELECT coalesce(sum(w.added), 0)::bigint AS ranges FROM walk w
