"""Accounts by the text of passwd(5), which may be anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.accounts import Account, User, accounts, home_of, is_root, user_of
from debloat.core.errors import UsageError

PASSWD = "root:x:0:0:root:/root:/bin/bash\nweb:x:33:33::/var/www:/bin/false\n1000:x:7:7::/seven:\nbad\nrel:x:9:9::x:\n"


def test_lines_that_are_not_whole() -> None:
    assert list(accounts("a:x:1\n\n:x:2:2::/:\nb:x:3:3::/b:/bin/sh:more\n")) == [
        Account("a", "1", "", ""),
        Account("b", "3", "/b", "/bin/sh"),
    ]


@pytest.mark.parametrize(
    ("user", "home"),
    [
        ("", "/root"),
        ("0", "/root"),
        ("web", "/var/www"),
        ("33:44", "/var/www"),
        ("web:audio", "/var/www"),
        ("1000", "/seven"),
        ("rel", None),
        ("nobody", None),
    ],
)
def test_home(user: str, home: str | None) -> None:
    assert home_of(PASSWD, user) == home


@given(st.text(), st.text(max_size=8))
def test_home_in_any_text(text: str, user: str) -> None:
    home = home_of(text, user)
    assert home is None or home.startswith("/")


@pytest.mark.parametrize(
    ("user", "root"),
    [
        *(
            ("", True),
            ("root", True),
            ("0", True),
            ("00:5", True),
            ("root:app", True),
            ("toor", True),
            ("toor:x", True),
        ),
        *(("app", False), ("1000", False), ("app:root", False), ("nobody-knows", False), ("10:0", False)),
    ],
)
def test_who_is_root(user: str, root: bool) -> None:
    passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\ntoor:x:0:0::/:/bin/sh\napp:x:1000:1000::/:\n10:x:10:0::/:\n"
    assert is_root(user, passwd) is root


USERS = "root:x:0:0::/root:/bin/sh\nworker:x:40:41::/:/bin/sh\nbroken\nodd:x:y:z::/:\n"
GROUPS = "root:x:0:\nwork:x:41:\nmore:x:50:worker,other\nfew:x:51:other\nbroken\n"


@pytest.mark.parametrize(
    ("user", "add", "expected"),
    [
        ("", (), User(0, 0)),
        ("worker", (), User(40, 41, (50,))),
        ("40", ("few", "77"), User(40, 41, (50, 51, 77))),
        ("worker:few", (), User(40, 51)),
        ("99", (), User(99, 0)),
        ("99:98", (), User(99, 98)),
    ],
)
def test_a_user(user: str, add: tuple[str, ...], expected: User) -> None:
    assert user_of(user, add, USERS, GROUPS) == expected


@pytest.mark.parametrize(("user", "add"), [("nobody", ()), ("worker:nobody", ()), ("", ("nobody",))])
def test_a_user_that_is_not_there(user: str, add: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="nobody"):
        user_of(user, add, USERS, GROUPS)
