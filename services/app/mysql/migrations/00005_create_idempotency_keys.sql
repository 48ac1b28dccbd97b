-- +goose Up
-- A row is written in the transaction of what it is the key of, and before it: whoever comes with the same key waits
-- for that row.
CREATE TABLE IF NOT EXISTS idempotency_keys (
  digest     binary(32)      NOT NULL,
  request    binary(32)      NOT NULL, -- the SHA-256 of what was asked for
  answer     json            NULL, -- where there is one to repeat
  user_id    bigint unsigned NULL, -- whose words the answer repeats, and with whom it goes
  created_at datetime(6)     NOT NULL,
  PRIMARY KEY (digest),
  KEY created_at (created_at), -- to remove the old ones
  KEY user_id (user_id),
  CONSTRAINT idempotency_keys_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
