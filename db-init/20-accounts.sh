#!/bin/bash
# Creates the accounts. This is a script only because the passwords are in files; 30-grants.sql says what each account
# may do.
#
# The image runs this file if it is executable and sources it if it is not, which may change in a checkout on Windows. So the
# file works either way: it uses nothing from the image's entrypoint, and its shell settings stay inside the parentheses.
(
    set -euo pipefail

    password() {
        local value
        value=$(<"/run/secrets/mysql_$1_password")
        case $value in
            '' | *[!0-9A-Za-z]*) # it goes into SQL unquoted
                echo "/run/secrets/mysql_$1_password must hold letters and digits only" >&2
                return 1
                ;;
        esac
        printf %s "$value"
    }

    root=$(password root)
    app=$(password app)
    migrate=$(password migrate)
    backup=$(password backup)
    health=$(password health)

    # The limits reserve room in max_connections for app. A migration works on one connection while others wait for it, and a
    # dump uses one or two. Health checks that hang cannot lock everyone else out.
    mysql --defaults-extra-file=<(printf '[client]\npassword=%s\n' "$root") --protocol=socket --user=root <<SQL
CREATE USER 'app'@'%' IDENTIFIED BY '$app';
CREATE USER 'migrate'@'%' IDENTIFIED BY '$migrate' WITH MAX_USER_CONNECTIONS 5;
CREATE USER 'backup'@'%' IDENTIFIED BY '$backup' WITH MAX_USER_CONNECTIONS 3;
CREATE USER 'health'@'127.0.0.1' IDENTIFIED BY '$health' WITH MAX_USER_CONNECTIONS 5;
SQL
)
