"""An image's USER as numbers, looked up in the image's own /etc/passwd and /etc/group as runc does."""

from __future__ import annotations

from dataclasses import dataclass

from debloat.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Account:
    """Who a program runs as."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


def account(spec: str, group_add: tuple[str, ...], passwd: str, group: str) -> Account:
    """`NAME`, `UID`, `NAME:GROUP`, ... with further groups; UsageError for a name that the image lacks."""
    name, colon, named_group = spec.partition(":")
    users = [fields for fields in _table(passwd, 4) if fields[2].isdigit() and fields[3].isdigit()]
    groups = [fields for fields in _table(group, 3) if fields[2].isdigit()]
    found = next((fields for fields in users if name in (fields[0], fields[2])), None)
    if found is None and name and not name.isdigit():
        raise UsageError(f"cannot run as {spec!r}: the image has no user {name}", "name one of it, or a number")
    uid, gid = (int(found[2]), int(found[3])) if found else (int(name or 0), 0)
    more: list[int] = []
    if colon and named_group:
        gid = _group(named_group, groups)
    elif found:
        more = [int(fields[2]) for fields in groups if len(fields) > 3 and found[0] in fields[3].split(",")]
    more += [_group(text, groups) for text in group_add]
    return Account(uid, gid, tuple(dict.fromkeys(more)))


def _table(text: str, least: int) -> list[list[str]]:
    rows = (line.split(":") for line in text.splitlines())
    return [row for row in rows if len(row) >= least]


def _group(text: str, groups: list[list[str]]) -> int:
    for fields in groups:
        if text == fields[0]:
            return int(fields[2])
    if not text.isdigit():
        raise UsageError(f"cannot use the group {text!r}: the image has none of that name", "name one of it")
    return int(text)
