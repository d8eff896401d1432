#!/bin/sh
# tini 0.19.0 (Debian 12: 0.19.0-1+b3) on Linux: while it waits for signals in sigtimedwait(2), /proc/PID/status has SIGTERM
# in none of SigBlk, SigCgt and SigIgn, as of a program that the signal ends; yet tini takes it and forwards it.
# The kernel takes the awaited signals out of the blocked set for the length of the wait. Who decides by these masks
# whether a main process handles its stop signal is wrong about it, and about whatever waits so.
set -eu
work=$(mktemp -d)
child=
trap '[ -z "$child" ] || kill -9 "$child" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
apt-get download tini=0.19.0-1+b3 >/dev/null 2>&1
dpkg-deb -x tini_*.deb "$work"
"$work/usr/bin/tini" --version
"$work/usr/bin/tini" -s -- sh -c 'trap "echo forwarded; exit 7" TERM; while :; do sleep 0.1; done' >"$work/out" 2>&1 &
child=$!
bit=$((1 << 14))
tries=0
until grep -q 'sigtimedwait' "/proc/$child/wchan" 2>/dev/null || [ "$tries" -ge 20 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
for name in SigBlk SigCgt SigIgn; do
    mask=$(sed -n "s/^$name:[[:space:]]*//p" "/proc/$child/status")
    echo "$name $mask"
    [ $((0x$mask & bit)) -eq 0 ] || { echo "SIGTERM is in $name now"; exit 1; }
done
kill -TERM "$child"
code=0
wait "$child" || code=$?
pid=$child child=
echo "tini $pid ended with $code: $(cat "$work/out")"
[ "$code" -eq 7 ]
