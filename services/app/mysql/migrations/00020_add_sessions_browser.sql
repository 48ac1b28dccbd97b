-- +goose Up
-- The kind of browser, for a user's list of sessions. It is one of a few texts of ours, not what the browser sent. Like
-- 00008, this allows for an earlier run that died before it recorded the version.
SET @ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.columns
          WHERE table_schema = DATABASE() AND table_name = 'sessions' AND column_name = 'browser'),
  'DO 0',
  'ALTER TABLE sessions ADD COLUMN browser varchar(60) NOT NULL DEFAULT '''', ALGORITHM = INSTANT');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;
