"""Accounts of an image, from the text of its passwd(5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_FIELDS = 7


@dataclass(frozen=True, slots=True)
class Account:
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
