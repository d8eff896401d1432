# Shared by the scripts that start another engine beside the one that runs here; read by them, not run.
#
# Each engine has a directory HOME_DIR/NAME, in it `pid` (the first process of its namespaces) and `log`.

HOME_DIR=${DEBLOAT_ENGINES:-/var/tmp/debloat-engines}
START_LIMIT=120
STOP_LIMIT=30
STOP_SIGNAL=TERM

say() { printf 'engines: %s\n' "$1" >&2; }
fail() {
    say "$1"
    [ $# -lt 2 ] || say "hint: $2"
    exit 1
}

# May NAME be started? Sets place.
claim() {
    case $1 in '' | *[!a-z0-9]* | ?????????????*) usage "a name is at most twelve lower-case letters and digits: $1" ;; esac
    [ "$(id -u)" -eq 0 ] || fail "only root can start an engine"
    place=$HOME_DIR/$1
    mkdir -p "$HOME_DIR"
    # An engine's overlays cannot lie on another overlay: as in a container that has no volume there.
    [ "$(stat -f -c %T "$HOME_DIR")" != overlayfs ] || fail "$HOME_DIR lies on overlayfs" "name another place in DEBLOAT_ENGINES"
    [ ! -e "$place/pid" ] || fail "$1 is there already" "$0 stop $1"
}

# make_root ROOT SUITE PACKAGES: a root in HOME_DIR/roots, made once, and once more where other packages are asked for
# than it was made of. A lock keeps two that start at the same time from making it twice. Sets root.
make_root() {
    root=$HOME_DIR/roots/$1
    mkdir -p "$HOME_DIR/roots"
    exec 9>"$root.lock"
    flock 9
    if [ ! -d "$root" ] || [ "$(cat "$root.packages" 2>/dev/null)" != "$3" ]; then
        command -v mmdebstrap >/dev/null 2>&1 || fail "mmdebstrap is missing" "apt-get install mmdebstrap"
        say "making the root $1"
        # An archive that keeps a suite as it was has a Release file that has expired.
        mmdebstrap --quiet --variant=minbase --include="$3" --aptopt='Acquire::Check-Valid-Until "false"' \
            "$2" "$root.new" ${DEBLOAT_MIRROR:+"$DEBLOAT_MIRROR"} >"$root.log" 2>&1 || {
            tail -n 15 "$root.log" >&2
            rm -rf "$root.new"
            fail "cannot make the root $1: see the lines above"
        }
        # An engine that runs in the old one keeps it under another name; purge takes it.
        [ ! -d "$root" ] || mv "$root" "$root.old.$$"
        mv "$root.new" "$root"
        echo "$3" >"$root.packages"
    fi
    exec 9>&-
}

# come_up NAME PID COMMAND...: wait until the command works, which asks the engine that process PID started.
come_up() {
    name=$1 started=$2
    shift 2
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt $((START_LIMIT * 5)) ] || { [ $tries -gt 5 ] && ! kill -0 "$started" 2>/dev/null; }; then
            tail -n 20 "$HOME_DIR/$name/log" >&2
            stop "$name"
            fail "$name does not come up: see the lines above"
        fi
        sleep 0.2
    done
}

stop() {
    name=$1
    place=$HOME_DIR/$name
    if pid=$(cat "$place/pid" 2>/dev/null); then
        kill -s "$STOP_SIGNAL" "$pid" 2>/dev/null || true
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
        [ "$name" = roots ] || [ ! -e "$place/log" ] || stop "$name"
    done
    rm -rf "$HOME_DIR/roots"
    rmdir "$HOME_DIR" 2>/dev/null || true
}

# The words that all of the scripts take: `start` and its own, `stop NAME`, `root SUITE`, `purge`. Each has a function
# root_of, which says what its roots are made of.
main() {
    case ${1:-} in
        start)
            shift
            start "$@"
            ;;
        stop)
            [ $# -eq 2 ] || usage "stop takes a name"
            stop "$2"
            ;;
        root)
            [ $# -eq 2 ] || usage "root takes a suite"
            [ "$(id -u)" -eq 0 ] || fail "only root can make one"
            root_of "$2"
            echo "$root"
            ;;
        purge) purge ;;
        *) usage "unknown command ${1:-}" ;;
    esac
}
