#!/bin/sh
# msgspec 0.22.0: two Structs with `order=True` that are equal in every field are compared by `<` in their last field all the
# same, where a dataclass, as tuples do, stops at what is equal. So sorting a list that has one value twice raises TypeError
# where that field has no order (None, a dict), though no two different values need it; `<=` of the same two is True.
# Seen: the dataclass is sorted, the Struct raises TypeError, with the same field first in place of last it is sorted too.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0
cat >"$work/order.py" <<'PY'
import dataclasses
from typing import Any

import msgspec


@dataclasses.dataclass(order=True)
class Data:
    name: str
    note: Any = None


class Last(msgspec.Struct, order=True):
    name: str
    note: Any = None


class First(msgspec.Struct, order=True):
    note: Any
    name: str


for values in ([Data("a"), Data("a")], [Last("a"), Last("a")], [First(None, "a"), First(None, "a")]):
    name = type(values[0]).__name__
    try:
        print(f"{name}: sorted, {len(sorted(values))} values, <= is {values[0] <= values[1]}")
    except TypeError as error:
        print(f"{name}: TypeError: {error}; <= is {values[0] <= values[1]}")
PY
"$work/venv/bin/python" "$work/order.py" | tee "$work/seen"
[ "$(grep -c ': sorted, 2 values, <= is True' "$work/seen")" -eq 2 ] && grep -q '^Last: TypeError: .*; <= is True' "$work/seen"
