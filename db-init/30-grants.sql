-- Each account may do what its job needs and no more. root signs in only over the socket, inside the container.

-- The application reads and writes rows. It cannot change or drop a table.
GRANT SELECT, INSERT, UPDATE, DELETE ON foobar.* TO 'app'@'%';

-- Migrations also change tables, and fill them.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON foobar.* TO 'migrate'@'%';

-- A backup reads the site's data in one consistent view (mysqldump --single-transaction --no-tablespaces
-- --skip-masking-policies); root does whatever needs more privileges than that (ctl/internal/backup/dump.sh).
GRANT SELECT, SHOW VIEW ON foobar.* TO 'backup'@'%';

-- The health check reads one row.
GRANT SELECT ON oneserver.initialised TO 'health'@'127.0.0.1';
