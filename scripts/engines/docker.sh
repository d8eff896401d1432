#!/bin/sh
# Another release of Docker Engine beside the one that runs here, from Debian's packages of another suite.
#
# Usage: scripts/engines/docker.sh start NAME SUITE classic|containerd [isolated]
#        scripts/engines/docker.sh stop NAME
#        scripts/engines/docker.sh root SUITE
#        scripts/engines/docker.sh purge
#
# start prints the engine's endpoint (unix://...). The engine has a root made by mmdebstrap, data, a socket, a bridge and
# a PID namespace of its own, so that stop ends everything with it: containers, containerd, mounts. NAME is at most
# twelve letters and digits. The third word is the image store. isolated: a network of its own as well, as docker:dind
# has one; ports that its containers publish are not on this machine then.
# Containers reach no network but their own; the packet filter of this machine is left alone.
# root prints where the root of a release is, made where it is missing. purge stops all that run and removes the roots,
# which start keeps.
#
#   DEBLOAT_ENGINES    where all of it lies (default /var/tmp/debloat-engines)
#   DEBLOAT_MIRROR     Debian archive (default: the ones mmdebstrap takes)
set -eu
. "$(dirname "$0")/common.sh"

PACKAGES=docker.io,docker-cli,docker-buildx,skopeo,iptables,ca-certificates,iproute2

usage() { fail "$1" "usage: scripts/engines/docker.sh start NAME SUITE classic|containerd [isolated] | stop NAME | root SUITE | purge"; }

start() {
    if [ $# -lt 3 ] || [ $# -gt 4 ]; then usage "start takes three or four words"; fi
    name=$1 suite=$2 store=$3 isolated=${4:-}
    case $store in classic) snapshotter=false ;; containerd) snapshotter=true ;; *) usage "unknown image store $store" ;; esac
    case $isolated in '' | isolated) ;; *) usage "unknown word $isolated" ;; esac
    claim "$name"
    root_of "$suite"
    mkdir -p "$place/data" "$place/exec"
    printf '{"features": {"containerd-snapshotter": %s}}\n' $snapshotter >"$place/daemon.json"
    set -- --config-file "$place/daemon.json" --data-root "$place/data" --exec-root "$place/exec" --pidfile "$place/dockerd.pid" \
        --host "unix://$place/docker.sock" --cgroup-parent "/debloat-$name" --iptables=false --ip6tables=false
    if [ -z "$isolated" ]; then
        bridge=de-$name
        ip link add "$bridge" type bridge 2>/dev/null || true
        ip addr replace "$(free_network)" dev "$bridge"
        ip link set "$bridge" up
        set -- "$@" --bridge "$bridge"
    fi
    setsid unshare --mount --pid --fork --kill-child ${isolated:+--net} --propagation private \
        "$(dirname "$0")/inside.sh" "$root" "$HOME_DIR" "$place/pid" dockerd "$@" >"$place/log" 2>&1 </dev/null &
    come_up "$name" $! docker --host "unix://$place/docker.sock" version
    echo "unix://$place/docker.sock"
}

# Sets root.
root_of() {
    # Until trixie the command is part of docker.io, and buildx is no package of its own.
    packages=$PACKAGES
    [ "$1" != bookworm ] || packages=$(printf %s "$PACKAGES" | sed 's/,docker-cli,docker-buildx//')
    make_root "$1" "$1" "$packages"
}

# A network for a bridge, beside those that the bridges of this machine have.
free_network() {
    byte=1
    while ip -4 -o addr show | grep -q " 10\.211\.$byte\."; do byte=$((byte + 1)); done
    echo "10.211.$byte.1/24"
}

main "$@"
