#!/bin/sh
# Makes the virtual environment, and installs what debloat needs of the system where it is missing and we may.
set -eu
cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo -n "$@"; else return 1; fi
}

missing=
python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
command -v cc >/dev/null || command -v gcc >/dev/null || missing="$missing gcc libc6-dev"
PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q libmagic.so.1 || missing="$missing libmagic1"
command -v git >/dev/null || missing="$missing git"
if [ -n "$missing" ]; then
    echo "setup: installing$missing" >&2
    # shellcheck disable=SC2086 # a list of words
    if ! { as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >/dev/null; then
        echo "setup: cannot install$missing; install them, then run this again" >&2
        exit 1
    fi
fi

stamp=.venv/.debloat-setup
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "setup: Python 3.11 or later is needed, this is $(python3 --version)" >&2
        exit 1
    }
    echo "setup: making the virtual environment" >&2
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
    touch "$stamp"
fi
