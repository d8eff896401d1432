"""The whole command line over the fake engine: words in, exit code and both outputs out.

`shop:1` is an image of a Debian package `shop`, of one that nothing uses, and of a shell; `shop:2` is a newer build of
it, in which a file has moved with its version and one is gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest

from debloat.cli.main import main
from debloat.image.rootfs import Rootfs
from tests.support.dpkgdb import database
from tests.support.engine import Behaviour, FakeEngine, Program
from tests.support.trees import Table, tree

CONFIG: Mapping[str, object] = {"Entrypoint": ["/usr/bin/shop"], "Env": ["TZ=UTC"], "WorkingDir": "/srv"}

_PACKAGES = {
    "shop": ["/usr/bin/shop", "/usr/share/shop/catalogue", "/usr/share/doc/shop/copyright"],
    "spare": ["/usr/bin/spare", "/usr/share/doc/spare/copyright"],
    "dash": ["/usr/bin/dash"],
}
_FILES: Table = {
    "/usr/bin/shop": ("0755", "\x00shop"),
    "/usr/share/shop/catalogue": "tea 3\n",
    "/usr/share/doc/shop/copyright": "free\n",
    "/usr/bin/spare": ("4755", "\x00spare"),
    "/usr/share/doc/spare/copyright": "free\n",
    "/usr/bin/dash": ("0755", "\x00dash"),
    "/tmp/": ("1777", ""),
}
SHOP_1: Table = {
    **_FILES,
    **database({**_PACKAGES, "libshop1": ["/usr/lib/libshop.so.1.0", "/usr/lib/shop/old"]}),
    "/usr/lib/libshop.so.1.0": "library",
    "/usr/lib/shop/old": "old",
}
SHOP_2: Table = {
    **_FILES,
    **database({**_PACKAGES, "libshop1": ["/usr/lib/libshop.so.1.1"]}, fields={"libshop1": {"Version": "1.1-1"}}),
    "/usr/share/shop/catalogue": "tea 4\n",
    "/usr/lib/libshop.so.1.1": "newer library",
}

OTHER: Table = {
    **database({"dash": ["/usr/bin/dash"], "bakery": ["/usr/bin/bakery"]}),
    "/usr/bin/dash": ("0755", "\x00dash"),
    "/usr/bin/bakery": ("0755", "\x00bakery"),
    "/tmp/": ("1777", ""),
}
"""Another application on the same base."""

USED = ("/usr/share/shop/catalogue", "/usr/lib/libshop.so.1.0", "/usr/lib/libshop.so.1.1", "/usr/lib/shop/old")
"""What the shop reads where it is there."""


def sells(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    """A program that reads what it needs and says what is for sale."""
    uses = tuple(("open", "r", path) for path in USED if path in rootfs)
    return Behaviour(uses, rootfs.read(USED[0]) if USED[0] in rootfs else b"")


def shows_what_is_gone(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    """A program whose answer differs where something was removed."""
    return Behaviour((("open", "r", USED[0]),), b"old" if "/usr/bin/spare" in rootfs else b"new")


def fails(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    return Behaviour((("stat", "", "/tmp"),), b"", b"no database\n", 3)


Images = Mapping[str, tuple[Rootfs, Mapping[str, object]]]
BAKERY: Images = {"bakery:1": (tree(OTHER), {**CONFIG, "Entrypoint": ["/usr/bin/bakery"]})}


def shop(program: Program = sells, more: Images = MappingProxyType({})) -> FakeEngine:
    """An engine that has both builds, and `more` images."""
    return FakeEngine({"shop:1": (tree(SHOP_1), CONFIG), "shop:2": (tree(SHOP_2), CONFIG), **more}, program)


@dataclass(frozen=True, slots=True)
class Done:
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The message of the error and its hint; nothing may be on standard output then."""
        assert self.out == ""
        assert "Traceback" not in self.err
        assert self.err.startswith("debloat: ") or "\ndebloat: " in self.err or self.err.startswith("Usage: ")
        return self.err[self.err.find("debloat: ") :] if "debloat: " in self.err else self.err


class CommandLine:
    """Calls of the command line with an engine, whose containers and unproven images must be gone after each."""

    def __init__(self, capsys: pytest.CaptureFixture[str], engine: FakeEngine) -> None:
        self._capsys = capsys
        self.engine = engine
        self.connected = 0

    def __call__(self, *argv: str) -> Done:
        self._capsys.readouterr()
        before = set(self.engine.containers)
        code = main(list(argv), self._connect)
        assert not set(self.engine.containers) - before
        assert not [name for name in self.engine.names if name.startswith("debloat-pending")]
        out, err = self._capsys.readouterr()
        return Done(code, out, err)

    def _connect(self) -> FakeEngine:
        self.connected += 1
        return self.engine
