#!/bin/bash
# Reports whether the database is serving: exit 0, or 1 and the reason, which `docker inspect` and `make doctor` show.
#
# The temporary server that the image runs during initialisation cannot fool it, since that server does not listen on TCP.
# Nor can a first start that was cut off, since the row that it reads is written at the very end (db-init/90-initialised.sh).
# It signs in as the least privileged account; the password reaches the client through a pipe, not on its command line.

secrets=/run/secrets
data=/var/lib/mysql
disk=/run/disk

# Reports to app, which cannot see this disk, how many bytes are free here (services/app/disk). The disk does not affect the
# check's result: taking the database out of service because its disk is full would help nobody.
if [ -d $disk ]; then
    read -r blocks size < <(stat --file-system --format='%a %S' $data) &&
        printf '%s\n' $((blocks * size)) >$disk/free.new && mv $disk/free.new $disk/free
fi

ask() {
    timeout 1.5 mysql --defaults-file=<(printf '[client]\npassword=%s\n' "$(<$secrets/mysql_health_password)") \
        --protocol=tcp --host=127.0.0.1 --user=health \
        --ssl-mode=DISABLED --get-server-public-key `# the connection does not leave the container` \
        --batch --skip-column-names --execute='SELECT stack_id FROM oneserver.initialised' 2>&1
}

# If the server is just starting, wait for it: services that depend on it can then start immediately instead of after the
# next interval. The whole check stays within the time limit in compose.yaml.
answer=$(ask)
result=$?
while [[ $answer == *'ERROR 2003'* && $SECONDS -lt 1 ]]; do
    sleep 0.2
    answer=$(ask)
    result=$?
done
id=$(<$secrets/stack_id)

if [ $result = 0 ] && [ "$answer" = "$id" ]; then
    exit 0
fi

case $result$answer in
    124* | *'ERROR 2002'* | *'ERROR 2003'* | *'ERROR 2013'*) # no answer in time; cannot connect; connection lost
        echo "mysqld does not answer over TCP: it is still starting, or it hangs"
        ;;
    *)
        if [ ! -e $data/stack_id ] || [ "$result$answer" = 0 ]; then # the file is missing, or the table has no row
            echo "The first start of this database was cut off before it was complete. It holds nothing yet: make reset, then make up."
        elif [ "$(<$data/stack_id)" != "$id" ]; then
            echo "The volume \"data\" was made with other secrets than those in the volume \"secrets\"." \
                "Bring back the volume that belongs to it: make doctor says more."
        else
            echo "mysqld answers, but not as expected: $answer"
        fi
        ;;
esac
exit 1
