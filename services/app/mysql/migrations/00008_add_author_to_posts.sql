-- +goose Up
-- ALGORITHM = INSTANT changes only the table's definition, which takes no time however many rows there are. The new
-- columns are therefore NULL in existing rows. ALTER has no IF NOT EXISTS, so this checks for the columns itself, in case
-- an earlier run died before it recorded the version.
SET @ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.columns
          WHERE table_schema = DATABASE() AND table_name = 'posts' AND column_name = 'user_id'),
  'DO 0',
  'ALTER TABLE posts
     ADD COLUMN user_id    bigint unsigned NULL, -- NULL: the site itself wrote it
     ADD COLUMN updated_at datetime(6)     NULL, -- NULL: never edited
     ALGORITHM = INSTANT');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;
