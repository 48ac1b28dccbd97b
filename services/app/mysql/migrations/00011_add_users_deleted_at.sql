-- +goose Up
-- A user who is deleted is marked first, which hides all that is theirs at once, and removed in pieces. Changes the
-- table's definition only, as 00008 does. The release before reads neither column: to it a marked user is one with an
-- empty name whom nobody can sign in as.
SET @ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.columns
          WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'deleted_at'),
  'DO 0',
  'ALTER TABLE users
     ADD COLUMN deleted_at datetime(6) NULL, -- NULL: the user is there
     ADD COLUMN unbounded  tinyint(1)  NULL, -- 1: written by whoever runs the site, for an account without quotas
     ALGORITHM = INSTANT');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;
