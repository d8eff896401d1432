"""Fleets for tests: images of a shop on the fake engine, and workers in this process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from debloat.cli.fleet import render
from debloat.core.progress import Silent
from debloat.fleet import work
from debloat.fleet.child import Children, Said
from debloat.fleet.model import Item, Verb
from debloat.fleet.work import Means
from debloat.image.rootfs import Rootfs
from tests.support.cli import CONFIG, SHOP_1, sells
from tests.support.engine import Behaviour, FakeEngine, Program
from tests.support.trees import tree


def shops(*names: str, program: Program = sells) -> FakeEngine:
    """An engine with an image of a shop for each name, each selling something else."""
    images = {name: {**SHOP_1, "/usr/share/shop/catalogue": f"{name}\n"} for name in names}
    return FakeEngine({name: (tree(table), CONFIG) for name, table in images.items()}, program)


def but(bad: str, how: Program) -> Program:
    """A program that sells, but in the shop whose catalogue says `bad` does something else."""

    def program(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
        return (
            how(rootfs, argv)
            if rootfs.read("/usr/share/shop/catalogue") == f"{bad}\n".encode()
            else sells(rootfs, argv)
        )

    return program


def means(engine: FakeEngine) -> Means:
    return Means(lambda: engine, Silent(), render)


def in_this_process(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> list[str]:
    """Have requests answered here and not in processes of their own; the names of the items that were asked for."""
    asked: list[str] = []
    alone = threading.Lock()

    def ask(self: Children, request: Mapping[str, Any]) -> Said:
        with alone:
            if request["ask"] == "item":
                asked.append(request["task"]["name"])
            return Said(work.answer(request, means(engine)), b"what it said\n")

    monkeypatch.setattr(Children, "ask", ask)
    return asked


def write(directory: Path, text: str, name: str = "fleet.toml") -> Path:
    path = directory / name
    path.write_text(text)
    return path


def items(number: int) -> tuple[Item, ...]:
    """Items of as many images."""
    names = sorted(f"shop/web:{n}" for n in range(number))
    return tuple(Item(name, Verb.RUN, f"{name}-slim", (), f"sha256:{'0' * 64}", "safe", "1") for name in names)
