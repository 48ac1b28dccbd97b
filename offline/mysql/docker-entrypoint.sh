#!/bin/bash
# Starts mysqld as the official image does. On an empty data directory it first creates the system tables, root, and the
# database and account that the environment names, and runs the files in /docker-entrypoint-initdb.d, using a temporary
# server that listens only on the socket.
#
# These traps of the official image are kept on purpose, because the stack must cope with them:
#   - the temporary server answers `mysqladmin ping` long before the real one listens on TCP;
#   - a data directory that has a mysql/ folder is taken for complete, even if its initialisation was cut off;
#   - values from the environment go into SQL as they are, unescaped.
set -eo pipefail
shopt -s nullglob

log() {
    printf '%s [%s] [Entrypoint]: %s\n' "$(date --rfc-3339=seconds)" "$1" "$2"
}

fail() {
    log ERROR "$1" >&2
    exit 1
}

# Sets the variable $1 to the content of the file that $1_FILE names. If $1_FILE is not set, $1 keeps its value, or gets the
# default $2.
from_file() {
    local name=$1 file_name=${1}_FILE value=${2:-}
    if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
        fail "$name and $file_name are both set: set one of them"
    fi
    if [ -n "${!file_name:-}" ]; then
        value=$(<"${!file_name}")
    elif [ -n "${!name:-}" ]; then
        value=${!name}
    fi
    export "$name=$value"
    unset "$file_name"
}

# Prints mysqld's effective settings, one name and value per line. Fails on values that mysqld cannot read.
settings() {
    "$@" --verbose --help --log-bin-index="$(mktemp -u)"
}

# Runs the SQL on stdin as root over the socket; arguments go to the client. Init scripts that are sourced call it by this
# name.
docker_process_sql() {
    local password=$MYSQL_ROOT_PASSWORD
    if [ "${1:-}" = --dont-use-mysql-root-password ]; then
        password=
        shift
    fi
    mysql --defaults-extra-file=<(printf '[client]\npassword="%s"\n' "$password") \
        --protocol=socket --socket="$SOCKET" --user=root --host=localhost \
        ${MYSQL_DATABASE:+--database="$MYSQL_DATABASE"} --comments "$@"
}

check_environment() {
    if [ -z "$MYSQL_ROOT_PASSWORD" ] && [ -z "$MYSQL_ALLOW_EMPTY_PASSWORD" ] && [ -z "$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
        fail "the database is not initialised and root has no password: set one of MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD and MYSQL_RANDOM_ROOT_PASSWORD"
    fi
    if [ "$MYSQL_USER" = root ]; then
        fail "MYSQL_USER is for another account than root: remove it and use MYSQL_ROOT_PASSWORD"
    fi
    if [ -n "$MYSQL_USER" ] && [ -z "$MYSQL_PASSWORD" ]; then
        log Warn "MYSQL_USER without MYSQL_PASSWORD: the account is not made"
    elif [ -z "$MYSQL_USER" ] && [ -n "$MYSQL_PASSWORD" ]; then
        log Warn "MYSQL_PASSWORD without MYSQL_USER: it is not used"
    fi
}

create_accounts() {
    if [ -n "$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
        MYSQL_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
        export MYSQL_ROOT_PASSWORD
        log Note "GENERATED ROOT PASSWORD: $MYSQL_ROOT_PASSWORD"
    fi
    {
        if [ -n "$MYSQL_ROOT_HOST" ] && [ "$MYSQL_ROOT_HOST" != localhost ]; then
            echo "CREATE USER 'root'@'$MYSQL_ROOT_HOST' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';"
            echo "GRANT ALL ON *.* TO 'root'@'$MYSQL_ROOT_HOST' WITH GRANT OPTION;"
        fi
        echo "ALTER USER 'root'@'localhost' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';"
        echo "GRANT ALL ON *.* TO 'root'@'localhost' WITH GRANT OPTION;"
    } | MYSQL_DATABASE='' docker_process_sql --dont-use-mysql-root-password --database=mysql

    if [ -n "$MYSQL_DATABASE" ]; then
        log Note "creating database $MYSQL_DATABASE"
        echo "CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;" | MYSQL_DATABASE='' docker_process_sql --database=mysql
    fi
    if [ -n "$MYSQL_USER" ] && [ -n "$MYSQL_PASSWORD" ]; then
        log Note "creating user $MYSQL_USER"
        {
            echo "CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$MYSQL_PASSWORD';"
            if [ -n "$MYSQL_DATABASE" ]; then
                # In a grant's database name _ stands for any character.
                echo "GRANT ALL ON \`${MYSQL_DATABASE//_/\\_}\`.* TO '$MYSQL_USER'@'%';"
            fi
        } | docker_process_sql
    fi
}

run_init_files() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh)
                if [ -x "$file" ]; then
                    log Note "running $file"
                    "$file"
                else
                    log Note "sourcing $file"
                    # shellcheck source=/dev/null
                    . "$file"
                fi
                ;;
            *.sql) log Note "running $file" && docker_process_sql <"$file" ;;
            *.sql.bz2) log Note "running $file" && bzcat "$file" | docker_process_sql ;;
            *.sql.gz) log Note "running $file" && zcat "$file" | docker_process_sql ;;
            *.sql.xz) log Note "running $file" && xzcat "$file" | docker_process_sql ;;
            *.sql.zst) log Note "running $file" && zstdcat "$file" | docker_process_sql ;;
            *) log Warn "ignoring $file" ;;
        esac
    done
}

initialise() {
    check_environment

    log Note "initialising the database files"
    "$@" --initialize-insecure --default-time-zone=SYSTEM --autocommit=1

    # --daemonize returns once the server accepts connections.
    log Note "starting the temporary server"
    "$@" --daemonize --skip-networking --default-time-zone=SYSTEM --autocommit=1 --socket="$SOCKET" ||
        fail "the temporary server does not start"

    if [ -z "$MYSQL_INITDB_SKIP_TZINFO" ]; then
        mysql_tzinfo_to_sql /usr/share/zoneinfo 2>/dev/null |
            MYSQL_DATABASE='' docker_process_sql --dont-use-mysql-root-password --database=mysql
    fi
    create_accounts
    run_init_files

    log Note "stopping the temporary server"
    mysqladmin --defaults-extra-file=<(printf '[client]\npassword="%s"\n' "$MYSQL_ROOT_PASSWORD") \
        --socket="$SOCKET" --user=root shutdown || fail "the temporary server does not stop"
    log Note "the database is initialised"
}

wants_help() {
    local argument
    for argument; do
        case $argument in
            -\? | --help | --print-defaults | -V | --version) return 0 ;;
        esac
    done
    return 1
}

if [ "${1:0:1}" = - ]; then
    set -- mysqld "$@"
fi

if [ "$1" = mysqld ] && ! wants_help "$@"; then
    effective=$(settings "$@" 2>/dev/null) || fail "mysqld refuses its settings: $(settings "$@" 2>&1 >/dev/null || true)"
    DATADIR=$(awk '/^datadir / { print $2 }' <<<"$effective")
    SOCKET=$(awk '/^socket / { print $2 }' <<<"$effective")

    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$DATADIR"
        find "$DATADIR" ! -user mysql -exec chown --no-dereference mysql '{}' +
        chown mysql "$(dirname "$SOCKET")"
        exec gosu mysql "$0" "$@"
    fi

    from_file MYSQL_ROOT_HOST %
    from_file MYSQL_ROOT_PASSWORD
    from_file MYSQL_DATABASE
    from_file MYSQL_USER
    from_file MYSQL_PASSWORD
    if [ ! -d "$DATADIR/mysql" ]; then
        initialise "$@"
    fi
fi

exec "$@"
