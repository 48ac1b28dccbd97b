#!/bin/bash
# Runs in db and writes a dump of the site to its standard output, preceded by the dump's place in the binary log. $1 is the
# statement that locks the tables against writers. The script ends when its standard input does, because the engine does not
# end a program whose output nobody reads any more: an abandoned dump would run to its end.
#
# The place and the view of the data must be of the same moment. mysqldump --source-data ensures that with FLUSH TABLES,
# which waits for the longest SELECT; every later SELECT waits behind it, even after the flush has given up. LOCK TABLES ...
# READ keeps out only writers: readers never wait, and once the lock is granted, every transaction that has written has
# ended. mysqldump is already connected by then and waits for a named lock, so writers wait only while it opens its view.
set -u
exec 3<&0

# A backup holds this lock on the server, so that there is only one at a time. If a backup is killed, its lock is soon
# released.
turn='oneserver backup'
limit=(timeout --signal=KILL 12h) # in case nothing else is left to end the programs

login() { # a password goes from its file to the client through a pipe, and appears in no argument, environment or log
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

ask() { # runs a statement as root; MySQL's answer is in $answer
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
    [[ $answer == *'ERROR 1205 '* ]] || give_up "$answer" # only a lock that took too long (1205) is worth another try
    kill -0 $dump 2>/dev/null || give_up "mysqldump ended before it began"
    [ $try -lt $tries ] || give_up "in $tries tries the tables were never free of writers for a moment; a long transaction or a migration is under way, and SHOW PROCESSLIST names it. MySQL says: $answer"
    sleep 3
done
ask 'SHOW BINARY LOG STATUS' || give_up "$answer"
IFS=$'\t' read -r file at gtids <<<"$answer" # the two fields in between are empty here, and read skips them
[ -n "$at" ] || give_up "the binary log is off"
printf '%s\n' "/* SET @@GLOBAL.GTID_PURGED='+${gtids//\\n/}';*/" \
    "-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='$file', SOURCE_LOG_POS=$at;" ''
ask "DO RELEASE_LOCK('$turn')" || give_up "$answer"
for ((look = 1; ; look++)); do # until the view is open, or the dump has already ended; reading the dictionary opens no such view
    ask "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = IS_USED_LOCK('$turn')
        AND trx_isolation_level = 'REPEATABLE READ' AND COALESCE(trx_query, '') NOT LIKE 'START TRANSACTION%'" || give_up "$answer"
    if [ "$answer" = 1 ] || ! kill -0 $dump 2>/dev/null; then
        break
    fi
    [ $look -lt 25 ] || give_up "mysqldump did not begin in time; the machine is too busy"
    sleep 0.11 # InnoDB repeats the same answer for 0.1 s
done
ask 'UNLOCK TABLES' || give_up "$answer" # an error means that the connection was lost, and the lock with it
eval "exec ${root[1]}>&-"

wait $dump
result=$?
dump=
kill $watch 2>/dev/null
exit $result
