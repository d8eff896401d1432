#!/bin/sh
# Podman of a Debian release as a service beside the engine that runs here, from Debian's packages.
#
# Usage: scripts/engines/podman.sh start NAME SUITE rootful|rootless
#        scripts/engines/podman.sh stop NAME
#        scripts/engines/podman.sh root SUITE
#        scripts/engines/podman.sh purge
#
# start prints the engine's endpoint (unix://...). Podman has a root made by mmdebstrap, storage, a socket, a network and
# a PID namespace of its own, so that stop ends everything with it; ports that its containers publish are not on this
# machine. NAME is at most twelve letters and digits. root prints where the root of a release is, made where it is
# missing; buildah is in it, which needs no engine. purge stops all that run and removes the roots, which start keeps.
#
# OCI runtimes refuse a mixture of both versions of control groups: the service sees the second one alone, and of it a
# group of its own. Where the first has the controllers, no limit of a container is in force. crun before 1.9 wants to
# raise a limit that needs CAP_SYS_RESOURCE, so runc stands in for it in bookworm.
#
#   DEBLOAT_ENGINES    where all of it lies (default /var/tmp/debloat-engines)
#   DEBLOAT_MIRROR     Debian archive (default: the ones mmdebstrap takes)
set -eu
. "$(dirname "$0")/common.sh"

PACKAGES=podman,buildah,runc,netavark,aardvark-dns,slirp4netns,uidmap,fuse-overlayfs,catatonit,iptables,ca-certificates,iproute2
USER_ID=1000
# A service that is asked to end waits for connections that are open; what it keeps goes with it anyway.
STOP_SIGNAL=KILL

usage() { fail "$1" "usage: scripts/engines/podman.sh start NAME SUITE rootful|rootless | stop NAME | root SUITE | purge"; }

start() {
    [ $# -eq 3 ] || usage "start takes three words"
    name=$1 suite=$2 kind=$3
    case $kind in rootful) user=0 ;; rootless) user=$USER_ID ;; *) usage "unknown word $kind" ;; esac
    claim "$name"
    runtime=crun
    [ "$suite" != bookworm ] || runtime=runc
    root_of "$suite"
    mkdir -p "$place/home" "$place/run"
    cat >"$place/containers.conf" <<EOF
[containers]
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
runtime = "$runtime"
[network]
network_backend = "netavark"
EOF
    chown $user:$user "$place" "$place/home" "$place/run"
    chmod 0700 "$place/run"
    setsid unshare --mount --pid --net --fork --kill-child --propagation private \
        "$(dirname "$0")/inside.sh" "$root" "$HOME_DIR" "$place/pid" \
        /bin/sh -c "$SERVICE" sh "debloat-$name" "$place" $user >"$place/log" 2>&1 </dev/null &
    come_up "$name" $! docker --host "unix://$place/podman.sock" version
    echo "unix://$place/podman.sock"
}

# Sets root.
root_of() {
    packages=$PACKAGES
    # From Podman 5 on a user's containers have their network from pasta, and the packet filter is nftables.
    [ "$1" = bookworm ] || packages=$packages,passt,crun,nftables
    make_root "podman-$1" "$1" "$packages"
}

# Arguments: the control group, the place, the user. Runs in the namespaces, as their root.
SERVICE='
set -eu
group=$1 place=$2 user=$3
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$group"
echo $$ >"/sys/fs/cgroup/$group/cgroup.procs"
chown "$user:$user" "/sys/fs/cgroup/$group" "/sys/fs/cgroup/$group/cgroup.procs"
if [ "$user" != 0 ]; then
    # What an installation with a login would have prepared. The root is shared by all engines of the release.
    if ! grep -q "^owner:" /etc/passwd; then
        echo "owner:x:$user:$user::/:/bin/sh" >>/etc/passwd
        echo "owner:x:$user:" >>/etc/group
        echo "owner:100000:65536" | tee /etc/subuid >/etc/subgid
    fi
    for node in net/tun:200 fuse:229; do
        device=/run/$(basename "${node%:*}")
        mknod -m 0666 "$device" c 10 "${node#*:}"
        mount --bind "$device" "/dev/${node%:*}"
    done
fi
exec unshare --cgroup /bin/sh -euc '"'"'
    umount /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    export HOME=$2/home XDG_RUNTIME_DIR=$2/run TMPDIR=/tmp CONTAINERS_CONF=$2/containers.conf
    set -- podman --root "$2/data" --runroot "$2/run/containers" --log-level warn \
        system service --time 0 "unix://$2/podman.sock"
    [ "$0" = 0 ] || set -- setpriv --reuid "$0" --regid "$0" --clear-groups "$@"
    exec "$@"
'"'"' "$user" "$group" "$place"
'

main "$@"
