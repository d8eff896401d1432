"""A progress that records what it is told."""

from __future__ import annotations

import threading

from debloat.core.progress import Progress, Stage


class Recording(Progress):
    """What a run said, as (event, text) in order: `begin` and `end` with a stage's name, `say` with a line."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.threads: set[int] = set()
        """The threads that stages began in."""

    def begin(self, name: str) -> None:
        self.threads.add(threading.get_ident())
        self.events.append(("begin", name))

    def end(self, stage: Stage) -> None:
        assert stage.seconds >= 0
        self.events.append(("end", stage.name))

    def say(self, text: str) -> None:
        self.events.append(("say", text))

    @property
    def stages(self) -> list[str]:
        """The names of the stages; each that began has ended before the next began."""
        steps = [event for event in self.events if event[0] != "say"]
        assert [kind for kind, _ in steps] == ["begin", "end"] * (len(steps) // 2)
        assert [name for _, name in steps[::2]] == [name for _, name in steps[1::2]]
        return [name for _, name in steps[::2]]

    @property
    def lines(self) -> list[str]:
        return [text for kind, text in self.events if kind == "say"]
