#!/bin/sh
# Sees to a Docker engine and the base image. Where an engine answers, nothing is installed or started.
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
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables >/dev/null
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
scripts/bootstrap-base.sh
