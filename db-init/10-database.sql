-- Run once, on the first start, before anything listens on the network. The files run in the order of their names; the
-- first statement that fails stops the start, and the health check then says so (services/db/healthcheck.sh).

-- The image has created the database; the application's migrations create its tables. What they leave open about text
-- is set here: all of Unicode, ordered and compared without regard to accents and case.
ALTER DATABASE foobar CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;

-- The stack's notes about itself, separate from the site's data.
CREATE DATABASE oneserver CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;

-- One row, written by the last file here: this data directory is complete, and belongs to the secrets with this id.
CREATE TABLE oneserver.initialised (
  stack_id     varchar(64) NOT NULL,
  completed_at datetime(6) NOT NULL,
  PRIMARY KEY (stack_id)
);
