#!/bin/bash
# Runs in db and writes a dump of the site to its standard output, begun by the place in the binary log that it is of. $1
# is the statement that locks the tables against writers. It ends when its standard input does: the engine does not end
# a program when nobody reads its output any more, and a dump would go on to its end.
#
# The place and the view of the data must be of one moment. mysqldump --source-data makes that moment by FLUSH TABLES,
# which waits for the longest SELECT, and every later SELECT waits behind it, even when the flush has given up. LOCK
# TABLES ... READ keeps out writers only: readers never wait, and a transaction that has written has ended when the lock
# is there. Meanwhile mysqldump is already connected and waits for a named lock, so that writers wait no longer than it
# takes to open the view.
set -u
exec 3<&0

# Whoever holds it backs up this server; there is one at a time. One that was killed lets go of it in a moment.
turn='oneserver backup'
limit=(timeout --signal=KILL 12h) # for the case that nobody is there any more to end the programs

login() { # a password goes from its file to the client through a pipe: it is in no argument, no environment and no log
    printf '[client]\nuser=%s\npassword="%s"\nprotocol=socket\n' "$1" "$(<"/run/secrets/mysql_$1_password")"
}

dump=
trap '[ -z "$dump" ] || kill "$dump" 2>/dev/null' EXIT
give_up() {
    printf '%s\n' "$1" >&2
    exit 1
}

coproc root {
    exec "${limit[@]}" mysql --defaults-extra-file=<(login root) --force --unbuffered --batch --skip-column-names \
        --default-character-set=utf8mb4 2>&1 3<&-
}

ask() { # a statement of root's; what MySQL says is in $answer
    local line
    answer=
    printf "%s;\nSELECT 'end of the answer';\n" "$1" >&"${root[1]}"
    while IFS= read -r -t 30 -u "${root[0]}" line; do
        if [ "$line" = 'end of the answer' ]; then
            [[ $answer != *'ERROR '* ]]
            return
        fi
        answer+=${answer:+ }$line
    done
    give_up "MySQL does not answer root. $answer"
}

ask "SET SESSION lock_wait_timeout = 1; SELECT GET_LOCK('$turn', 10)" || give_up "$answer"
[ "$answer" = 1 ] || give_up "another backup of this database is being made: wait until it has ended"

"${limit[@]}" nice -n 19 mysqldump --defaults-extra-file=<(login backup) --init-command="DO GET_LOCK('$turn', 600)" \
    --single-transaction --set-gtid-purged=OFF "${@:2}" 3<&- &
dump=$!
{ read -r -u 3; kill $dump; } >/dev/null 2>&1 &
watch=$!

tries=15
for ((try = 1; ; try++)); do
    ask "$1" && break
    [[ $answer == *'ERROR 1205 '* ]] || give_up "$answer" # all else but that it had to wait stays so
    kill -0 $dump 2>/dev/null || give_up "mysqldump ended before it began"
    [ $try -lt $tries ] || give_up "in $tries tries the tables were never free of writers for a moment; a long transaction or a migration is under way, and SHOW PROCESSLIST names it. MySQL says: $answer"
    sleep 3
done
ask 'SHOW BINARY LOG STATUS' || give_up "$answer"
IFS=$'\t' read -r file at gtids <<<"$answer" # the two fields between are empty here, and so no fields to read
[ -n "$at" ] || give_up "the binary log is off"
printf '%s\n' "/* SET @@GLOBAL.GTID_PURGED='+${gtids//\\n/}';*/" \
    "-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='$file', SOURCE_LOG_POS=$at;" ''
ask "DO RELEASE_LOCK('$turn')" || give_up "$answer"
for ((look = 1; ; look++)); do # until the view is begun, or the dump is over even; a look into the dictionary is no view
    ask "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = IS_USED_LOCK('$turn')
        AND trx_isolation_level = 'REPEATABLE READ' AND COALESCE(trx_query, '') NOT LIKE 'START TRANSACTION%'" || give_up "$answer"
    if [ "$answer" = 1 ] || ! kill -0 $dump 2>/dev/null; then
        break
    fi
    [ $look -lt 25 ] || give_up "mysqldump did not begin in time; the machine is too busy"
    sleep 0.11 # InnoDB says the same for 0.1 s
done
ask 'UNLOCK TABLES' || give_up "$answer" # an error is a connection that was lost, and the lock with it
eval "exec ${root[1]}>&-"

wait $dump
result=$?
dump=
kill $watch 2>/dev/null
exit $result
