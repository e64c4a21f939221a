DROP TABLE order_lines;
DROP TABLE event_logs;
DROP TABLE service_settings;
