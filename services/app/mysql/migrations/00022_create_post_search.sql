-- +goose Up
-- The words that a search looks for. They are in a separate table, because a table with a full-text index can never again
-- get a column instantly. A row is written in the transaction of its post. For posts of the previous release, which does
-- not know this table, fill.go writes the rows.
--
-- There are two indexes, because the ngram parser does not suit words with spaces around them: it drops every pair of
-- letters that contains a stop word, such as "a" or "i".
CREATE TABLE IF NOT EXISTS post_search (
  post_id bigint unsigned NOT NULL,
  words   mediumtext      NOT NULL, -- of the title and the body, each once
  grams   mediumtext      NOT NULL, -- runs of Han, kana and Hangul; the index contains each pair of adjacent characters
  as_of   datetime(6)     NULL,     -- the post's updated_at when this row was made; if they differ, this row is out of date
  PRIMARY KEY (post_id),
  FULLTEXT KEY words (words),
  FULLTEXT KEY grams (grams) WITH PARSER ngram,
  CONSTRAINT post_search_post FOREIGN KEY (post_id) REFERENCES posts (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
