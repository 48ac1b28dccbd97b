-- +goose Up
-- Addresses are compared without regard to case, because people type them either way, but with their accents: two
-- addresses that differ only in an accent belong to different people.
CREATE TABLE IF NOT EXISTS users (
  id            bigint unsigned NOT NULL AUTO_INCREMENT,
  email         varchar(254) COLLATE utf8mb4_0900_as_ci NOT NULL,
  name          varchar(50)     NOT NULL,
  password_hash varchar(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, -- in the PHC string format
  created_at    datetime(6)     NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY email (email)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
