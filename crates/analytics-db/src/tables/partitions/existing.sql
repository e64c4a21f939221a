-- The partitions of the table $1 with their ranges of ids, except the default one, which has no
-- range.
SELECT p.name, CASE p.range[1] WHEN 'MINVALUE' THEN '00000000-0000-0000-0000-000000000000' ELSE p.range[1] END::uuid AS from,
    p.range[2]::uuid AS to
FROM (
    SELECT c.oid::regclass::text AS name,
        regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''?(.*?)''?\) TO \(''(.*)''\)') AS range
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = $1::regclass
) AS p
WHERE p.range IS NOT NULL
ORDER BY 2
