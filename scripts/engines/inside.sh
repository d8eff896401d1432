#!/bin/sh
# The first process of an engine's namespaces: enters the root that it is given and runs a program there, a daemon for
# one. It ends as that does.
#
# Usage: inside.sh ROOT SHARED PIDFILE PROGRAM [ARGUMENT]...
#
# SHARED is a directory that is at the same path inside and outside. PIDFILE gets this process's number as those outside
# know it. Run in new mount and PID namespaces (unshare --mount --pid --fork); a network that is new has its lo set up.
set -eu
root=$1 shared=$2 pidfile=$3
shift 3

# /proc is still that of the outside, and so is the number it gives.
read -r pid _ </proc/self/stat
echo "$pid" >"$pidfile"

mount --bind "$root" "$root"
for place in sys dev; do mount --rbind "/$place" "$root/$place"; done
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/run/shared" "$root/run/outside"
mkdir -p "$root$shared"
mount --bind "$shared" "$root$shared"
cd "$root"
pivot_root . run/outside
umount -l /run/outside

ip link set lo up
# A shell as first process takes in the processes that lose their parent, which a daemon would not.
exec /bin/sh -c '
    "$@" &
    daemon=$!
    trap "kill $daemon" TERM
    code=0
    while kill -0 $daemon 2>/dev/null; do wait $daemon && code=0 || code=$?; done
    exit $code
' sh "$@"
