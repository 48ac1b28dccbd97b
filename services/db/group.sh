#!/bin/bash
# The health check of a database that is a member of a group: healthy is who is ONLINE. Who is not is brought back: as long as
# the group goes on without this member, it tries to join.
#
# Nothing is decided here. A member joins only a group that another member says is there, with a majority; it never starts one
# of its own. That is a person's decision (make cluster, make cluster-recover).
bash /healthcheck.sh || exit 1

secrets=/run/secrets
replaceable=/var/lib/mysql/may_be_replaced # written by db-init/80-group.sh
joining=/var/run/mysqld/joining            # holds the process that is joining; a restart removes it

login() { printf '[client]\nuser=%s\npassword=%s\n' "$1" "$(<"$secrets/mysql_$1_password")"; }

state() {
    timeout 1.5 mysql --defaults-file=<(login health) --protocol=tcp --host=127.0.0.1 \
        --ssl-mode=DISABLED --get-server-public-key `# the connection does not leave the container` \
        --batch --skip-column-names --execute="SELECT IFNULL(
            (SELECT MEMBER_STATE FROM performance_schema.replication_group_members WHERE MEMBER_ID = @@server_uuid), 'OFFLINE')"
}

# root TIME: runs the statements on stdin here. If the client is ended, the server may go on with a statement.
root() { timeout "$1" mysql --defaults-extra-file=<(login root) --protocol=socket --batch --skip-column-names; }

# found MAY_OTHERS_RECOVER: prints the first other member that is ONLINE, sees a majority, and no longer counts this one as a
# member: as long as the group waits for the one that this was before a restart, an attempt to join takes 40 seconds to fail.
found() {
    local seeds self seed
    read -r self seeds < <(root 5 <<<'SELECT @@report_host, @@group_replication_group_seeds')
    for seed in ${seeds//,/ }; do
        [ "${seed%:*}" != "$self" ] || continue
        if [ "$(timeout 3 mysql --defaults-file=<(login repl) --host="${seed%:*}" --port="${seed#*:}" --connect-timeout=2 \
            --ssl-mode=VERIFY_IDENTITY --ssl-ca=$secrets/db_ca.crt --batch --skip-column-names --execute="
                SELECT SUM(MEMBER_STATE <> 'UNREACHABLE') * 2 > COUNT(*) AND SUM(MEMBER_HOST = '$self') = 0
                    AND ($1 OR SUM(MEMBER_STATE = 'RECOVERING') = 0)
                    AND SUM(MEMBER_ID = @@server_uuid AND MEMBER_STATE = 'ONLINE')
                FROM performance_schema.replication_group_members" 2>/dev/null)" = 1 ]; then
            echo "$seed"
            return 0
        fi
    done
    return 1
}

join() {
    local seed reset='' others=TRUE
    if [ "$1" = ERROR ]; then # it has left the group, or was expelled
        root 90 <<<'STOP GROUP_REPLICATION' || return
    fi
    # Only a member that has never been in the group is replaced as a whole; every other one gets what it lacks. A donor copies
    # to one at a time, and refuses others. So they wait for one another, and begin in turn: one that has begun is seen to be
    # RECOVERING after three seconds.
    if [ -e $replaceable ] && [ "$(root 5 <<<'SELECT LOCATE(@@group_replication_group_name, @@gtid_executed)')" = 0 ]; then
        reset='RESET BINARY LOGS AND GTIDS; SET GLOBAL group_replication_clone_threshold = 1;'
        others=FALSE
        found $others >/dev/null || return
        sleep "$(root 5 <<<'SELECT (@@server_id - 1) * 4')"
    fi
    seed=$(found $others) || return
    echo "group: $seed is ONLINE; joining${reset:+ with a copy of its data}"
    root 300 <<<"SET GLOBAL group_replication_bootstrap_group = OFF; $reset START GROUP_REPLICATION" ||
        echo "group: joining failed; the next attempt follows"
}

join_until_member() {
    local state
    while state=$(state) && [[ $state == OFFLINE || $state == ERROR ]]; do
        join "$state"
        sleep 1
    done
}

now=$(state)
case $now in
    ONLINE)
        rm -f $replaceable
        exit 0
        ;;
    OFFLINE | ERROR)
        if ! { [ -e $joining ] && kill -0 "$(<$joining)"; } 2>/dev/null; then
            join_until_member </dev/null >/proc/1/fd/1 2>&1 & # to the container's log; the check itself does not wait for it
            echo $! >$joining
        fi
        ;;
esac
echo "This database is not a member of the group: its state is ${now:-unknown}. It comes back by itself once other members are" \
    "ONLINE; make cluster-status shows them. If none is: make cluster-recover."
exit 1
