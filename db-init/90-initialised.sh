#!/bin/bash
# Notes that the first start is complete and which secrets this data belongs to: in the table that the health check
# reads, and then in the data directory, where it can be seen with mysqld stopped. The file comes last and appears at
# once, so it never stands for a start that was cut off before it.
#
# Works executed and sourced, as 20-accounts.sh does.
(
    set -euo pipefail

    root=$(</run/secrets/mysql_root_password)
    id=$(</run/secrets/stack_id)

    mysql --defaults-extra-file=<(printf '[client]\npassword=%s\n' "$root") --protocol=socket --user=root <<SQL
INSERT INTO oneserver.initialised VALUES ('$id', UTC_TIMESTAMP(6));
SQL

    printf '%s\n' "$id" >/var/lib/mysql/stack_id.new
    sync /var/lib/mysql/stack_id.new
    mv /var/lib/mysql/stack_id.new /var/lib/mysql/stack_id
    sync /var/lib/mysql
)
