-- +goose Up
-- Changes the table's definition only, in no time however many rows there are: hence NULL, and no value to fill in.
-- ALTER has no IF NOT EXISTS, so that a run which died before its version was noted is recognised here.
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
