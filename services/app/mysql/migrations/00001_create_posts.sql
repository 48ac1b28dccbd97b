-- +goose Up
-- IF NOT EXISTS, because MySQL commits a CREATE at once: a run that dies before its version is noted starts here again.
--
-- utf8mb4 is all of Unicode. utf8mb4_0900_ai_ci orders and compares by Unicode 9.0 without regard to accents and case,
-- which is what a reader expects of a search ("zoe" finds "Zoë"), and does not ignore trailing spaces. It is also
-- MySQL's own default; it is said here so that a server with another default makes the same table.
CREATE TABLE IF NOT EXISTS posts (
  id         bigint unsigned NOT NULL AUTO_INCREMENT,
  title      varchar(200)    NOT NULL,
  body       text            NOT NULL,
  created_at datetime(6)     NOT NULL, -- UTC, as every time here
  PRIMARY KEY (id)                     -- also the order of a page: newest first is id descending
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
