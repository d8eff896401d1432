#!/bin/sh
# python-debian 1.1.1: Deb822(str) ends lines where str.splitlines() does, not where dpkg does (line feed alone, deb822(5)).
# Seen: of a field with U+2028, NEL (U+0085), a form feed, a vertical tab or a file separator in it, what follows is lost
# without an error when the stanza is given as str, and kept when it is given as bytes. A carriage return loses it in both.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check python-debian==1.1.1
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version
from debian.deb822 import Deb822

print("python-debian", version("python-debian"))
expected = {  # (as str, as bytes): whether the end of the field is kept
    "\u2028": (False, True), "\x85": (False, True), "\x0c": (False, True), "\x0b": (False, True),
    "\x1c": (False, True), "\r": (False, False), "\u00e9": (True, True),
}
wrong = 0
for mark, kept in expected.items():
    stanza = f"Package: a\nMaintainer: J{mark}n <j@example.org>\nVersion: 1\n"
    seen = tuple(Deb822(form)["Maintainer"].endswith("<j@example.org>") for form in (stanza, stanza.encode()))
    print(f"U+{ord(mark):04X}: kept from str {seen[0]}, from bytes {seen[1]}")
    wrong += seen != kept
sys.exit(bool(wrong))
PY
if command -v dpkg-query >/dev/null; then
    mkdir -p "$work/dpkg/info" "$work/dpkg/updates"
    printf 'Package: a\nStatus: install ok installed\nMaintainer: J\342\200\250n <j@example.org>\nArchitecture: all\nVersion: 1\nDescription: x\n' >"$work/dpkg/status"
    seen=$(dpkg-query --admindir="$work/dpkg" -W -f '${Maintainer}' a)
    echo "dpkg-query: $seen"
    case $seen in *'<j@example.org>') ;; *) exit 1 ;; esac
fi
