-- The lines of orders, in their order, by their primary key as in by_ids.sql: ORDER BY keeps the planner
-- from turning the subquery into a join.
SELECT l.event_id, l.product_id, l.vendor_id, l.vendor_learned, l.quantity, l.amount, l.currency
FROM unnest((SELECT $1)) AS wanted (id)
CROSS JOIN LATERAL (SELECT * FROM order_lines o WHERE o.event_id = wanted.id ORDER BY o.line) AS l
ORDER BY l.event_id, l.line
