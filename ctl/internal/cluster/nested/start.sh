#!/bin/bash
# Starts the engine of a nested server, and sshd if somebody may sign in.
set -euo pipefail

# The engine of the outer machine mounts these read-only, since the container is not privileged. SYS_ADMIN may change that.
mount -o remount,bind,rw /proc/sys
while read -r _ path type _; do
    case $type in cgroup | cgroup2) mount -o remount,bind,rw "$path" ;; esac
done </proc/self/mounts
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || { # version 2: processes may not be beside child groups
    mkdir -p /sys/fs/cgroup/init
    for _ in {1..100}; do # each docker exec puts one there, as Docker's own docker:dind knows
        xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs || :
        sed 's/ / +/g; s/^/+/' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control && break
        sleep 0.1
    done 2>/dev/null
}

if [ -s /root/.ssh/authorized_keys ]; then
    ssh-keygen -A >/dev/null
    mkdir -p /run/sshd
    /usr/sbin/sshd
fi

rm -f /run/docker.pid # left by an engine that was killed; its number may belong to another program now
exec dockerd --host unix:///run/docker.sock
