-- +goose Up
-- IF NOT EXISTS, because MySQL commits a CREATE immediately: if a run dies before it records the version, the next run
-- executes this statement again.
--
-- utf8mb4 is all of Unicode. utf8mb4_0900_ai_ci sorts and compares by Unicode 9.0, ignores accents and case, as readers
-- expect of a search ("zoe" finds "Zoë"), and does not ignore trailing spaces. It is also MySQL's own default; it is
-- named here so that a server with another default creates the same table.
CREATE TABLE IF NOT EXISTS posts (
  id         bigint unsigned NOT NULL AUTO_INCREMENT,
  title      varchar(200)    NOT NULL,
  body       text            NOT NULL,
  created_at datetime(6)     NOT NULL, -- UTC, like every time here
  PRIMARY KEY (id)                     -- also gives the order of a page: newest first is by descending id
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
