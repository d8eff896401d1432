#!/bin/sh
# LIEF 1.0.0: importing it makes 67,562 members of Python enumerations, nine tenths of them opcodes of the disassemblers of
# six machines, whatever is used of it. 0.15.1, the last before that interface, makes none. Seen: `import lief` takes 0.35 s
# of processor time with 1.0.0 and 0.04 s with 0.15.1 (printed, not judged); the count is what is held here.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/count.py" <<'PY'
import enum, gc, sys, time
from importlib.metadata import version

start = time.process_time()
import lief
took = time.process_time() - start
kinds = [o for o in gc.get_objects() if isinstance(o, enum.EnumMeta) and (o.__module__ or "").startswith("lief")]
members = sum(len(kind.__members__) for kind in kinds)
opcodes = sum(len(kind.__members__) for kind in kinds if kind.__name__ == "OPCODE")
print(f"lief {version('lief')}: {members} members of enumerations, {opcodes} of them opcodes; {took:.2f} s")
sys.exit((members, opcodes) != tuple(map(int, sys.argv[1:])))
PY
check() {
    python3 -m venv "$work/$1"
    "$work/$1/bin/pip" install --quiet --disable-pip-version-check "lief==$1"
    "$work/$1/bin/python" "$work/count.py" "$2" "$3"
}
check 0.15.1 0 0
check 1.0.0 67562 58616
