-- +goose Up
-- The words of each post, for the search. Adding the first full-text index rebuilds the table with a hidden column.
-- Meanwhile, the table can be read but not written; the previous release only reads it. From now on, MySQL can add a
-- column to this table only by copying the table, but still adds indexes in place.
SET @ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.statistics
          WHERE table_schema = DATABASE() AND table_name = 'posts' AND index_name = 'words'),
  'DO 0',
  'ALTER TABLE posts ADD FULLTEXT KEY words (title, body), ALGORITHM = INPLACE, LOCK = SHARED');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;
