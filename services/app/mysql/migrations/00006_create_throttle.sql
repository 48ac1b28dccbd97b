-- +goose Up
-- The generic cell rate algorithm (ITU-T I.371) needs one time for each bucket. A row whose time has passed means
-- the same as no row.
CREATE TABLE IF NOT EXISTS throttle (
  bucket  binary(32)  NOT NULL, -- the SHA-256 of its name, which may contain somebody's address
  arrival datetime(6) NOT NULL, -- the theoretical arrival time of the next attempt
  PRIMARY KEY (bucket),
  KEY arrival (arrival) -- to remove the rows whose time has passed
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;
