ALTER TABLE proofs DROP COLUMN watermarks;
