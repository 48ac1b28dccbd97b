-- +goose Up
-- What a search looks for, apart from the posts: a table with a full-text index is never again given a column at once. It
-- is written in the transaction of the post, and for posts of the release before, which does not know it, by fill.go.
--
-- Two indexes, because ngram drops every pair of letters with a stop word in it, and "a" and "i" are stop words; and
-- because other words have spaces around them.
CREATE TABLE IF NOT EXISTS post_search (
  post_id bigint unsigned NOT NULL,
  words   mediumtext      NOT NULL, -- of title and body, each once
  grams   mediumtext      NOT NULL, -- runs of Han, kana and Hangul, of which the index keeps each two neighbours
  as_of   datetime(6)     NULL,     -- the post's updated_at when this was made of it: where they differ, this is out of date
  PRIMARY KEY (post_id),
  FULLTEXT KEY words (words),
  FULLTEXT KEY grams (grams) WITH PARSER ngram,
  CONSTRAINT post_search_post FOREIGN KEY (post_id) REFERENCES posts (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
