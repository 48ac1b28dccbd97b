-- +goose Up
-- The words of each post, for the search. The first full-text index of a table builds it anew, with a hidden column
-- for it; meanwhile the table can be read, which is all that the release before this one does with it. From here on
-- MySQL adds a column to this table by copying it; an index is still added in place.
SET @ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.statistics
          WHERE table_schema = DATABASE() AND table_name = 'posts' AND index_name = 'words'),
  'DO 0',
  'ALTER TABLE posts ADD FULLTEXT KEY words (title, body), ALGORITHM = INPLACE, LOCK = SHARED');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;
