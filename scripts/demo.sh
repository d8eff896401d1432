#!/bin/sh
# Builds a sample service and debloats it before the reader's eyes.
set -eu
cd "$(dirname "$0")/.."
image=debloat-demo:latest
say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }

# $1: whether BuildKit is to be used.
build() {
    sed 's/^FROM debian:[a-z]*-slim/FROM debian:trixie-slim/' fixtures/nginx/Dockerfile |
        DOCKER_BUILDKIT=$1 docker build --quiet --network host -t "$image" -f - fixtures/nginx >/dev/null
}

say "1. A sample service: nginx from Debian 13's packages, built from fixtures/nginx/Dockerfile"
build 0 2>/dev/null || build 1

say "2. debloat $image --http :80/"
result=$(.venv/bin/debloat "$image" --http :80/)

say "3. It serves pages that the recording never asked for"
container=$(docker run -d --rm --label debloat.run=demo -p 127.0.0.1::80 "$result")
trap 'docker rm -f "$container" >/dev/null 2>&1' EXIT
port=$(docker port "$container" 80/tcp | head -n 1 | sed 's/.*://')
tries=0
until .venv/bin/python - "$port" <<'PY'
import sys, urllib.request, urllib.error
for path in ("/", "/about.html", "/nowhere"):
    try:
        status = urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}{path}", timeout=2).status
    except urllib.error.HTTPError as error:
        status = error.code
    print(f"  GET {path:<14} {status}")
PY
do
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || exit 1
    sleep 0.1
done 2>/dev/null

say "4. debloat why $result /usr/sbin/nginx"
.venv/bin/debloat why "$result" /usr/sbin/nginx
