-- +goose Up
-- A user's posts are deleted with the user. With foreign_key_checks on, MySQL would copy the whole table to check it,
-- which is unnecessary, since every user_id is still NULL. With foreign_key_checks off, it adds the index in place, while
-- reads and writes continue.
SET foreign_key_checks = 0;
SET @ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.table_constraints
          WHERE table_schema = DATABASE() AND table_name = 'posts' AND constraint_name = 'posts_user'),
  'DO 0',
  'ALTER TABLE posts
     ADD KEY user_id (user_id),
     ADD CONSTRAINT posts_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
     ALGORITHM = INPLACE, LOCK = NONE');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;
SET foreign_key_checks = 1;
