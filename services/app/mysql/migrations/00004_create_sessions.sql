-- +goose Up
-- A session is found by the SHA-256 of its token, so somebody who reads this table cannot sign in as anyone.
CREATE TABLE IF NOT EXISTS sessions (
  token      binary(32)      NOT NULL,
  user_id    bigint unsigned NOT NULL,
  created_at datetime(6)     NOT NULL,
  used_at    datetime(6)     NOT NULL, -- accurate to a few minutes
  expires_at datetime(6)     NOT NULL, -- the session ends then, however much it is used
  PRIMARY KEY (token),
  KEY used_at (used_at), -- to remove unused sessions; an expired session is no longer used, so it soon counts as unused
  KEY user_id (user_id),
  CONSTRAINT sessions_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
