-- +goose Up
-- Browsers that have signed in before, each found by the SHA-256 of a token in its cookie, with the accounts that it was
-- used for. The token signs nobody in; it only ensures that guesses from elsewhere do not count against this browser.
CREATE TABLE IF NOT EXISTS devices (
  token      binary(32)      NOT NULL,
  user_id    bigint unsigned NOT NULL,
  created_at datetime(6)     NOT NULL, -- the last sign-in
  PRIMARY KEY (token, user_id),
  KEY created_at (created_at), -- to remove the old ones
  KEY user_id (user_id),
  CONSTRAINT devices_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
