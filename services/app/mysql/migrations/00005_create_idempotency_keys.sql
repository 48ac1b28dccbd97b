-- +goose Up
-- A row is written at the beginning of the transaction that carries out the request. Another request with the same key
-- waits for that row.
CREATE TABLE IF NOT EXISTS idempotency_keys (
  digest     binary(32)      NOT NULL,
  request    binary(32)      NOT NULL, -- a digest of the request
  answer     json            NULL, -- NULL if there is none to repeat
  user_id    bigint unsigned NULL, -- whose data the answer contains; the row is deleted with this user
  created_at datetime(6)     NOT NULL,
  PRIMARY KEY (digest),
  KEY created_at (created_at), -- to remove the old ones
  KEY user_id (user_id),
  CONSTRAINT idempotency_keys_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
