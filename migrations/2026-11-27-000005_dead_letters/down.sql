DROP TABLE dead_letter_actions;
DROP TABLE dead_letters;
DROP FUNCTION note_dead_letter_usage;
DROP TABLE dead_letter_usage;
DROP TABLE dead_letter_overflow;
