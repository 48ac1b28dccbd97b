#!/bin/bash
# Records that the first start is complete, and which secrets this data belongs to: first in a file in the data directory,
# which can be read while mysqld is stopped, and then in the table that the health check reads. The row comes last: without
# it nothing uses the database, and if the row exists, so does the file. So a database in use is never taken for one whose
# first start was cut off.
#
# Like 20-accounts.sh, it works whether it is executed or sourced.
(
    set -euo pipefail

    root=$(</run/secrets/mysql_root_password)
    id=$(</run/secrets/stack_id)

    printf '%s\n' "$id" >/var/lib/mysql/stack_id.new
    sync /var/lib/mysql/stack_id.new
    mv /var/lib/mysql/stack_id.new /var/lib/mysql/stack_id
    sync /var/lib/mysql

    mysql --defaults-extra-file=<(printf '[client]\npassword=%s\n' "$root") --protocol=socket --user=root <<SQL
INSERT INTO oneserver.initialised VALUES ('$id', UTC_TIMESTAMP(6));
SQL
)
