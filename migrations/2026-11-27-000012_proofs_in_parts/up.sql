-- A proof compares in parts, each in a snapshot of its own.
ALTER TABLE proofs ADD COLUMN watermarks jsonb NOT NULL DEFAULT '{}';
COMMENT ON TABLE proofs IS 'One row for each run of verify, which recounts the log and compares the numbers: each day in a snapshot of its own, then all metrics.';
COMMENT ON COLUMN proofs.proved_at IS 'When the run began.';
COMMENT ON COLUMN proofs.watermark IS 'The number of the last batch that every part includes.';
COMMENT ON COLUMN proofs.watermarks IS 'The number of the last batch that each part includes: days (by day) and metrics.';
COMMENT ON COLUMN proofs.digest IS 'A hash of all numbers: equal digests mean equal numbers, if nothing was counted while they were compared.';
COMMENT ON COLUMN proofs.offsets IS 'Up to where each partition was counted when the run began.';
