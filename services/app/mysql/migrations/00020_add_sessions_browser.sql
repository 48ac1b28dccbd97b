-- +goose Up
-- What kind of browser it is, for the list of one's sessions: one of a few texts of ours, not what the browser sent.
-- Recognises a run that died before its version was noted, as 00008 does.
SET @ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.columns
          WHERE table_schema = DATABASE() AND table_name = 'sessions' AND column_name = 'browser'),
  'DO 0',
  'ALTER TABLE sessions ADD COLUMN browser varchar(60) NOT NULL DEFAULT '''', ALGORITHM = INSTANT');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;
