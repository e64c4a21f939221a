ALTER TABLE event_keys DROP COLUMN repeated_at, DROP COLUMN repeats;
DROP INDEX dead_letters_order;
ALTER TABLE dead_letters DROP COLUMN order_key;
DROP TABLE arrivals;
DROP TABLE metadata_indexes;
