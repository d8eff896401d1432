#!/bin/sh
# LIEF 1.0.0 and gc.freeze(): a program that has loaded LIEF and freezes the collector before it ends (which Python's documents
# name for processes that fork, and which saves the collection at the end) has its whole binding listed on standard error as leaked:
# instances, types and functions, with a hint at a reference counting issue. Exit code 0. Without gc.freeze() it ends in silence:
# the collection at the end of the interpreter is what frees the module's types. Seen: 0 lines without, about 30 with.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check lief==1.0.0
"$work/venv/bin/python" -c 'import lief' 2>"$work/plain"
"$work/venv/bin/python" -c 'import gc, lief; gc.freeze()' 2>"$work/frozen"
grep '^nanobind' "$work/frozen" || true
echo "lines on standard error: $(wc -l <"$work/plain") without gc.freeze(), $(wc -l <"$work/frozen") with it"
[ ! -s "$work/plain" ] && grep -q 'nanobind: leaked .* types' "$work/frozen"
