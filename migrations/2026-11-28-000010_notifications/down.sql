ALTER TABLE anomalies DROP COLUMN notified;
DROP TABLE notifications;
