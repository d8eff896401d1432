"""Accounts of an image, from the texts of its passwd(5) and group(5)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from debloat.core.errors import UsageError

_FIELDS = 7


class Account(Struct, frozen=True):
    """A line of passwd(5); `uid` is a text, since damaged files hold anything there. Missing fields are empty."""

    name: str
    uid: str
    home: str
    shell: str


def accounts(passwd: str) -> Iterator[Account]:
    """The accounts in the text of a passwd(5) file, in its order."""
    for line in passwd.splitlines():
        name, _, uid, _, _, home, shell = (*line.split(":"), *[""] * _FIELDS)[:_FIELDS]
        if name:
            yield Account(name, uid, home, shell)


def account_of(passwd: str, user: str) -> Account | None:
    """The account that a USER (`name`, `uid`, `name:group`, ...) stands for; None where passwd(5) has none.

    An empty USER is uid 0. A name is tried before a number, as runc does.
    """
    key = user.partition(":")[0] or "0"
    listed = tuple(accounts(passwd))
    by_name = (account for account in listed if account.name == key)
    by_uid = (account for account in listed if account.uid == key)
    return next(by_name, None) or next(by_uid, None)


def home_of(passwd: str, user: str) -> str | None:
    """The absolute home directory of a USER by the text of passwd(5); None where it has none."""
    account = account_of(passwd, user)
    return account.home if account is not None and account.home.startswith("/") else None


def is_root(user: str, passwd: str) -> bool:
    """Whether a USER is uid 0: none, a number, or a name that the image's passwd(5) gives that number."""
    name = user.partition(":")[0]
    uid = next((account.uid for account in accounts(passwd) if account.name == name), name)
    return name in ("", "root") or not uid.strip("0")


class User(Struct, frozen=True):
    """Who a program runs as, in numbers."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


def user_of(spec: str, group_add: tuple[str, ...], passwd: str, group: str) -> User:
    """A USER (`NAME`, `UID`, `NAME:GROUP`, ...) with further groups, by the texts of passwd(5) and group(5).

    As runc looks them up; UsageError for a name that the image lacks.
    """
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
    return User(uid, gid, tuple(dict.fromkeys(more)))


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
