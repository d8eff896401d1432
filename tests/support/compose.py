"""A Compose without containers: it makes and starts what the file that it is given says, on a fake engine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from msgspec import field

from debloat.compose.command import QUICK, Answer, Compose
from debloat.engine.base import RUN_LABEL, ContainerFound, ContainerSpec
from tests.support.engine import FakeEngine

OK = Answer(0, "", "")


class FakeCompose(Compose, frozen=True, kw_only=True):
    """`printed` is what it makes of the user's files, `calls` what it was called with, `fails` answers by a word."""

    engine: FakeEngine
    printed: str
    calls: list[list[str]] = field(default_factory=list)
    fails: dict[str, Answer | BaseException] = field(default_factory=dict)

    def call(self, words: Iterable[str], timeout: float = QUICK) -> Answer:
        line = list(words)
        self.calls.append(line)
        for word, answer in self.fails.items():
            if word in line and isinstance(answer, BaseException):
                raise answer
            if word in line:
                return answer  # type: ignore[return-value]
        if "config" in line:
            return Answer(0, self.printed, "")
        if "up" in line:
            self._up(json.loads(Path(line[line.index("-f") + 1]).read_text()), start="--no-start" not in line)
        return OK

    def _up(self, stack: dict[str, dict[str, dict[str, object]]], *, start: bool) -> None:
        for name, service in stack["services"].items():
            called = str(service.get("container_name", name))
            if start:
                self.engine.start(self.engine.running[called].id)
                continue
            labels, argv = service["labels"], service.get("entrypoint") or ()
            assert isinstance(labels, dict)
            assert isinstance(argv, list | tuple)
            image = str(service["image"])
            spec = ContainerSpec(image, labels[RUN_LABEL], entrypoint=tuple(map(str, argv)))
            self.engine.running[called] = ContainerFound(self.engine.create(spec), image, False)
