DROP TABLE proved_days;
DROP TABLE proofs;
