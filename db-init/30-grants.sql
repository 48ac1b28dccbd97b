-- Each account may do what its work needs and no more. root signs in over the socket, inside the container, only.

-- The application reads and writes rows. It cannot change or drop a table.
GRANT SELECT, INSERT, UPDATE, DELETE ON foobar.* TO 'app'@'%';

-- Migrations also change tables, and fill them.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON foobar.* TO 'migrate'@'%';

-- A backup reads the site's data in one consistent view (mysqldump --single-transaction --source-data --no-tablespaces
-- --skip-masking-policies): FLUSH_TABLES for the moment in which the view and the position in the binary log are taken
-- together, REPLICATION CLIENT for the position. TRIGGER and EVENT would also allow making them; the site has none.
GRANT SELECT, SHOW VIEW ON foobar.* TO 'backup'@'%';
GRANT REPLICATION CLIENT, FLUSH_TABLES ON *.* TO 'backup'@'%';

-- The health check reads one row.
GRANT SELECT ON oneserver.initialised TO 'health'@'127.0.0.1';
