#!/bin/sh
# Prepares the configuration with the scripts in /docker-entrypoint.d, as the official image does, then executes the command.
# Commands other than nginx and nginx-debug, such as a shell, start without this preparation.
set -e

log() {
    if [ -z "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ]; then
        echo "$0: $*"
    fi
}

case $1 in
    nginx | nginx-debug)
        # Scripts run in version order, and must be executable even if they are sourced. As in the official image, the loop
        # is a subshell: variables that an .envsh exports reach the scripts after it, but not nginx.
        find /docker-entrypoint.d -mindepth 1 -maxdepth 1 -follow -type f | sort -V | while read -r file; do
            if [ ! -x "$file" ]; then
                log "ignoring $file, not executable"
                continue
            fi
            case $file in
                *.envsh)
                    log "sourcing $file"
                    # shellcheck source=/dev/null
                    . "$file"
                    ;;
                *.sh)
                    log "running $file"
                    "$file"
                    ;;
                *) log "ignoring $file" ;;
            esac
        done
        ;;
esac

exec "$@"
