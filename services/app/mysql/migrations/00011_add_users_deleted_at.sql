-- +goose Up
-- A deleted user is first marked, which immediately hides everything of theirs, and then removed in pieces. This changes
-- only the table's definition, as 00008 does. The previous release reads neither column: to it, a marked user has an
-- empty name, and nobody can sign in as that user.
SET @ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.columns
          WHERE table_schema = DATABASE() AND table_name = 'users' AND column_name = 'deleted_at'),
  'DO 0',
  'ALTER TABLE users
     ADD COLUMN deleted_at datetime(6) NULL, -- NULL: the user is not deleted
     ADD COLUMN unbounded  tinyint(1)  NULL, -- 1: set by the operator for an account without quotas
     ALGORITHM = INSTANT');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;
