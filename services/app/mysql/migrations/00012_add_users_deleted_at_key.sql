-- +goose Up
-- To find the users who are marked. MySQL adds an index in place, while reads and writes continue.
SET @ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.statistics
          WHERE table_schema = DATABASE() AND table_name = 'users' AND index_name = 'deleted_at'),
  'DO 0',
  'ALTER TABLE users ADD KEY deleted_at (deleted_at), ALGORITHM = INPLACE, LOCK = NONE');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;
