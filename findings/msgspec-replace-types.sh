#!/bin/sh
# msgspec 0.22.0, mypy 2.4.1: a Struct is declared to type checkers by `dataclass_transform`, so mypy gives it the fields
# of a dataclass and takes `dataclasses.replace(struct, x=...)` for right, which raises TypeError at run time.
# `msgspec.structs.replace`, which is right, takes any keywords: there mypy says nothing of a field that does not exist.
# Seen: mypy --strict finds one error in three wrong calls, which is the one of the dataclass beside them.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0 mypy==2.4.1
cat >"$work/values.py" <<'PY'
import dataclasses
from collections.abc import Callable

import msgspec


class Point(msgspec.Struct, frozen=True):
    x: int = 0


@dataclasses.dataclass(frozen=True)
class Old:
    x: int = 0


calls: dict[str, Callable[[], object]] = {
    "dataclasses.replace of a Struct": lambda: dataclasses.replace(Point(), x=1),
    "msgspec.structs.replace, no such field": lambda: msgspec.structs.replace(Point(), y=1),
    "dataclasses.replace, no such field": lambda: dataclasses.replace(Old(), y=1),
}
for name, call in calls.items():
    try:
        call()
        print(f"{name}: works")
    except TypeError as error:
        print(f"{name}: TypeError: {error}")
PY
"$work/venv/bin/python" "$work/values.py" | tee "$work/ran"
"$work/venv/bin/mypy" --strict --no-error-summary --cache-dir "$work/cache" "$work/values.py" >"$work/said" || true
sed "s|$work/||" "$work/said"
[ "$(grep -c TypeError "$work/ran")" -eq 3 ] && [ "$(grep -c error: "$work/said")" -eq 1 ] && grep -q '"Old"' "$work/said"
