DROP VIEW metric_rollups;
DROP TABLE rollups;
DROP TABLE metrics;
DROP FUNCTION metric_ratio;
