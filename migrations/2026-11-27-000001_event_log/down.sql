DROP TABLE order_lines;
DROP TABLE event_logs;
DROP TABLE watermark;
DROP TABLE batches;
DROP SEQUENCE batch_ids;
DROP TABLE schema_compatibility;
DROP TABLE business_clock;
DROP TABLE service_settings;
