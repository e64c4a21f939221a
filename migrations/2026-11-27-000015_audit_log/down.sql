DROP FUNCTION summarize_newest(regclass, integer);
DROP TABLE audit_log;
