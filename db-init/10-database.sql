-- These files run once, on the first start, before anything listens on the network, in the order of their names. The first
-- statement that fails stops the start, and the health check then says so (services/db/healthcheck.sh).

-- The image has created the database; the application's migrations create its tables. This sets the default for their
-- text: all of Unicode, ordered and compared without regard to accents and case.
ALTER DATABASE foobar CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;

-- What the stack records about itself, separate from the site's data.
CREATE DATABASE oneserver CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci;

-- The last file here writes the only row, which says that this data directory is complete and which secrets, by their id, it
-- belongs to.
CREATE TABLE oneserver.initialised (
  stack_id     varchar(64) NOT NULL,
  completed_at datetime(6) NOT NULL,
  PRIMARY KEY (stack_id)
);
