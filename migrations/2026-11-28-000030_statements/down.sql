DROP TABLE months;
DROP TABLE statements;
DROP FUNCTION refuse_change();
DROP TABLE statement_closings;
