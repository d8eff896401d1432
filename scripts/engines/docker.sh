#!/bin/sh
# Another release of Docker Engine beside the one that runs here, from Debian's packages of another suite.
#
# Usage: scripts/engines/docker.sh start NAME SUITE classic|containerd [isolated]
#        scripts/engines/docker.sh stop NAME
#        scripts/engines/docker.sh purge
#
# start prints the engine's endpoint (unix://...). The engine has a root made by mmdebstrap, data, a socket, a bridge and
# a PID namespace of its own, so that stop ends everything with it: containers, containerd, mounts. NAME is at most
# twelve letters and digits. The third word is the image store. isolated: a network of its own as well, as docker:dind
# has one; ports that its containers publish are not on this machine then.
# Containers reach no network but their own; the packet filter of this machine is left alone.
# purge stops all that run and removes the roots, which start keeps.
#
#   DEBLOAT_ENGINES    where all of it lies (default /var/tmp/debloat-engines)
#   DEBLOAT_MIRROR     Debian archive (default: the ones mmdebstrap takes)
set -eu

HOME_DIR=${DEBLOAT_ENGINES:-/var/tmp/debloat-engines}
PACKAGES=docker.io,docker-cli,docker-buildx,skopeo,iptables,ca-certificates,iproute2
START_LIMIT=120
STOP_LIMIT=30

say() { printf 'engines: %s\n' "$1" >&2; }
fail() {
    say "$1"
    [ $# -lt 2 ] || say "hint: $2"
    exit 1
}
usage() { fail "$1" "usage: scripts/engines/docker.sh start NAME SUITE classic|containerd [isolated] | stop NAME | purge"; }

# A suite's root, made once; a lock keeps two that start at the same time from making it twice.
make_root() {
    suite=$1
    root=$HOME_DIR/roots/$suite
    mkdir -p "$HOME_DIR/roots"
    exec 9>"$HOME_DIR/roots/$suite.lock"
    flock 9
    if [ ! -d "$root" ]; then
        command -v mmdebstrap >/dev/null 2>&1 || fail "mmdebstrap is missing" "apt-get install mmdebstrap"
        say "making a root of $suite with Docker Engine"
        # Until trixie the command is part of docker.io, and buildx is no package of its own.
        include=$PACKAGES
        [ "$suite" != bookworm ] || include=$(printf %s "$PACKAGES" | sed 's/,docker-cli,docker-buildx//')
        # An archive that keeps a suite as it was has a Release file that has expired.
        mmdebstrap --quiet --variant=minbase --include="$include" --aptopt='Acquire::Check-Valid-Until "false"' \
            "$suite" "$root.new" ${DEBLOAT_MIRROR:+"$DEBLOAT_MIRROR"} >"$root.log" 2>&1 || {
            tail -n 15 "$root.log" >&2
            rm -rf "$root.new"
            fail "cannot make a root of $suite: see the lines above"
        }
        mv "$root.new" "$root"
    fi
    exec 9>&-
}

start() {
    name=$1 suite=$2 store=$3 isolated=${4:-}
    case $name in '' | *[!a-z0-9]* | ?????????????*) usage "a name is at most twelve lower-case letters and digits: $name" ;; esac
    case $store in classic) snapshotter=false ;; containerd) snapshotter=true ;; *) usage "unknown image store $store" ;; esac
    case $isolated in '' | isolated) ;; *) usage "unknown word $isolated" ;; esac
    [ "$(id -u)" -eq 0 ] || fail "only root can start an engine"
    place=$HOME_DIR/$name
    [ ! -e "$place/pid" ] || fail "$name is there already" "scripts/engines/docker.sh stop $name"
    make_root "$suite"
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
    tries=0
    until docker --host "unix://$place/docker.sock" version >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt $((START_LIMIT * 5)) ] || { [ $tries -gt 5 ] && ! kill -0 $! 2>/dev/null; }; then
            tail -n 20 "$place/log" >&2
            stop "$name"
            fail "$name does not come up: see the lines above"
        fi
        sleep 0.2
    done
    echo "unix://$place/docker.sock"
}

# A network for a bridge, beside those that the bridges of this machine have.
free_network() {
    byte=1
    while ip -4 -o addr show | grep -q " 10\.211\.$byte\."; do byte=$((byte + 1)); done
    echo "10.211.$byte.1/24"
}

stop() {
    name=$1
    place=$HOME_DIR/$name
    if pid=$(cat "$place/pid" 2>/dev/null); then
        kill "$pid" 2>/dev/null || true
        tries=0
        while kill -0 "$pid" 2>/dev/null; do
            tries=$((tries + 1))
            # The first process of a PID namespace takes all others with it.
            [ $tries -ne $((STOP_LIMIT * 5)) ] || kill -KILL "$pid" 2>/dev/null || true
            [ $tries -lt $((STOP_LIMIT * 6)) ] || fail "cannot end $name (process $pid)"
            sleep 0.2
        done
    fi
    ip link del "de-$name" 2>/dev/null || true
    # Groups that the engine made are empty now; rmdir takes no others.
    find /sys/fs/cgroup -depth -type d -path "*/debloat-$name*" -exec rmdir {} + 2>/dev/null || true
    rm -rf "$place"
}

purge() {
    for place in "$HOME_DIR"/*/; do
        name=$(basename "$place")
        [ "$name" = roots ] || [ ! -e "$place/daemon.json" ] || stop "$name"
    done
    rm -rf "$HOME_DIR/roots"
    rmdir "$HOME_DIR" 2>/dev/null || true
}

case ${1:-} in
    start)
        if [ $# -lt 4 ] || [ $# -gt 5 ]; then usage "start takes three or four words"; fi
        shift
        start "$@"
        ;;
    stop)
        [ $# -eq 2 ] || usage "stop takes a name"
        stop "$2"
        ;;
    purge) purge ;;
    *) usage "unknown command ${1:-}" ;;
esac
