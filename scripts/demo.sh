#!/bin/sh
# Builds a sample service and debloats it before the reader's eyes: on the Docker engine that answers, else without any
# daemon, where buildah builds the image and debloat runs it itself.
set -eu
cd "$(dirname "$0")/.."
say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
note() { printf 'demo: %s\n' "$*" >&2; }
fail() {
    note "$1"
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Installs packages of those words PACKAGE=COMMAND whose commands are missing.
install() {
    missing=
    for word in "$@"; do
        command -v "${word#*=}" >/dev/null || missing="$missing ${word%%=*}"
    done
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || fail "no daemon answers here, and only root can install$missing; or start Docker"
    note "installing$missing"
    # shellcheck disable=SC2086 # a list of words
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } \
        >/dev/null || fail "cannot install$missing"
}

dockerfile() { sed 's/^FROM debian:[a-z]*-slim/FROM debian:trixie-slim/' fixtures/nginx/Dockerfile; }

with_docker() {
    scripts/bootstrap-base.sh trixie
    for buildkit in 0 1; do
        ! dockerfile | DOCKER_BUILDKIT=$buildkit \
            docker build --quiet --network host -t debloat-demo:latest -f - fixtures/nginx >/dev/null 2>"$work/log" || return 0
    done
    cat "$work/log" >&2
    fail "docker build failed"
}

# What buildah stores is the demonstration's own: it goes with it.
buildah() { command buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"; }

without_daemon() {
    command -v runc >/dev/null || install crun=crun
    install buildah=buildah
    if ! buildah pull -q docker.io/library/debian:trixie-slim >/dev/null 2>&1; then
        install mmdebstrap=mmdebstrap
        scripts/bootstrap-base.sh --tar "$work/base.tar" trixie
        base=$(buildah from scratch)
        buildah add -q "$base" "$work/base.tar" / >/dev/null
        buildah commit -q "$base" docker.io/library/debian:trixie-slim >/dev/null
    fi
    dockerfile >"$work/Dockerfile"
    buildah build --isolation chroot --network host --pull-never --registries-conf /dev/null -q \
        -t debloat-demo -f "$work/Dockerfile" fixtures/nginx >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        fail "buildah failed"
    }
    buildah push -q debloat-demo "oci:$work/image:latest"
}

say "1. A sample service: nginx from Debian 13's packages, built from fixtures/nginx/Dockerfile"
if docker version >/dev/null 2>&1; then
    with_docker
    image=debloat-demo:latest
    set --
else
    without_daemon
    image=oci:image:latest
    set -- --engine embedded --output oci:slim:latest
fi
debloat=$PWD/.venv/bin/debloat python=$PWD/.venv/bin/python
cd "$work"

say "2. debloat $image --http :80/${1:+ $*}"
result=$("$debloat" "$image" --http :80/ "$@")

say "3. It serves pages that the recording never asked for"
cat >pages.py <<'PY'
import os, urllib.error, urllib.request
for path in ("/", "/about.html", "/nowhere"):
    try:
        status = urllib.request.urlopen(f"{os.environ['DEBLOAT_URL']}{path}", timeout=5).status
    except urllib.error.HTTPError as error:
        status = error.code
    print(f"  GET {path:<14} {status}")
PY
"$debloat" record "$result" ${2:+--engine "$2"} -q --save-trace trace --run "'$python' pages.py >pages" >/dev/null
cat pages

say "4. debloat why $result /usr/sbin/nginx"
"$debloat" why "$result" /usr/sbin/nginx
