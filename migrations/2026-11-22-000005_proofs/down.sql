DROP TABLE proved_days;
DROP TABLE proofs;
DROP TABLE event_days;
ALTER TABLE event_logs DROP COLUMN seal;
