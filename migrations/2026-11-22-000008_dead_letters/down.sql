DROP INDEX dead_letters_created;
DROP INDEX dead_letters_place;
DROP INDEX dead_letters_topic;
DROP INDEX dead_letters_open;
DROP TABLE dead_letter_actions;
ALTER TABLE dead_letters DROP COLUMN payload_bytes, DROP COLUMN state;
