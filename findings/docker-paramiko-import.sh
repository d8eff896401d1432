#!/bin/sh
# docker 7.1.0 (the Python client) beside paramiko 5.1.0: `import docker` imports paramiko, and with it cryptography, wherever
# it is installed for whatever else, though no ssh:// engine is asked for; the extra `docker[ssh]` does not have to be there.
# Seen: over 200 modules more, eighty of them paramiko's and cryptography's, before a client is made.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip() { "$work/venv/bin/pip" --quiet --disable-pip-version-check "$@"; }
count() {
    "$work/venv/bin/python" -c '
import sys
import docker
of_ssh = [name for name in sys.modules if name.partition(".")[0] in ("paramiko", "cryptography")]
print(len(sys.modules), len(of_ssh))'
}
pip install docker==7.1.0
set -- $(count)
echo "docker alone: $1 modules, $2 of them for ssh"
alone=$1 none=$2
pip install paramiko==5.1.0 cryptography==50.0.2
set -- $(count)
echo "beside paramiko: $1 modules, $2 of them for ssh"
[ "$none" -eq 0 ] && [ "$2" -gt 70 ] && [ "$1" -gt $((alone + 150)) ]
