#!/bin/sh
# Sees to a Docker engine and the base images of the Debian suites that are given (scripts/bootstrap-base.sh).
# Where an engine answers, no other is installed or started.
set -eu
cd "$(dirname "$0")/.."

answers() { docker version >/dev/null 2>&1; }

if ! command -v docker >/dev/null || ! answers; then
    if [ "$(id -u)" != 0 ]; then
        echo "engine: no Docker engine answers here, and only root can install and start one" >&2
        echo "engine: start it (sudo systemctl start docker), or run this as root" >&2
        exit 1
    fi
    if ! command -v dockerd >/dev/null; then
        echo "engine: no Docker engine here: installing docker.io from the distribution's packages" >&2
        apt-get update -qq >/dev/null
        packages="docker.io iptables"
        # From Debian 13 on the command is a package of its own; where AppArmor is on, dockerd needs its parser.
        if apt-cache show docker-cli >/dev/null 2>&1; then packages="$packages docker-cli"; fi
        if [ -e /sys/kernel/security/apparmor/profiles ]; then packages="$packages apparmor"; fi
        # shellcheck disable=SC2086 # a list of words
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
    fi
    if ! answers; then
        echo "engine: starting dockerd, log in /var/log/dockerd.log" >&2
        setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &
        tries=0
        until answers; do
            tries=$((tries + 1))
            if [ "$tries" -gt 300 ]; then
                echo "engine: dockerd does not come up; the end of its log:" >&2
                tail -n 20 /var/log/dockerd.log >&2
                exit 1
            fi
            sleep 0.2
        done
    fi
fi
# What debloat's own engine runs containers with (Docker brings runc), and what an ordinary user's needs.
missing=
command -v crun >/dev/null || command -v runc >/dev/null || missing=crun
command -v newuidmap >/dev/null || missing="$missing uidmap"
if [ -n "$missing" ] && [ "$(id -u)" = 0 ]; then
    apt-get update -qq >/dev/null
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
scripts/bootstrap-base.sh "$@"
