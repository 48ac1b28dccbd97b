#!/bin/bash
# Only on three servers: the account by which the members of the group of databases talk to one another. On one server there
# is no password for it, and this file does nothing.
#
# Like 20-accounts.sh, it works whether it is executed or sourced.
(
    set -euo pipefail

    [ -e /run/secrets/mysql_repl_password ] || exit 0
    root=$(</run/secrets/mysql_root_password)
    repl=$(</run/secrets/mysql_repl_password)
    case $repl in
        '' | *[!0-9A-Za-z]*) # it goes into SQL unquoted
            echo "/run/secrets/mysql_repl_password must hold letters and digits only" >&2
            exit 1
            ;;
    esac

    # What is in this data directory now is in every other one too. So a group that exists may replace all of it by a copy of
    # its own data (services/db/group.sh), as long as this file is there and this member has never been in the group.
    : >/var/lib/mysql/may_be_replaced

    # A member is writable only as the primary of a group, which lifts super_read_only by itself. It is set for the next start,
    # since the files after this one still write.
    mysql --defaults-extra-file=<(printf '[client]\npassword=%s\n' "$root") --protocol=socket --user=root <<SQL
CREATE USER 'repl'@'%' IDENTIFIED BY '$repl' REQUIRE SSL;
GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO 'repl'@'%';
GRANT SELECT ON performance_schema.replication_group_members TO 'repl'@'%', 'health'@'127.0.0.1';
CREATE TABLE oneserver.bootstraps (
  at     datetime(6) NOT NULL,
  member varchar(60) NOT NULL,
  PRIMARY KEY (at)
) COMMENT = 'when the group was formed, and after each loss of all its members formed again, and by which member';
CHANGE REPLICATION SOURCE TO SOURCE_USER = 'repl', SOURCE_PASSWORD = '$repl' FOR CHANNEL 'group_replication_recovery';
SET PERSIST_ONLY super_read_only = ON;
SQL
)
