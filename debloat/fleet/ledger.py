"""What was done, on disk: a directory an item, whose row is written last, so that a run that was killed goes on.

STATE/lock                    held by the run that is at work
STATE/items/KEY/item.json     the row of the item (`model.Outcome`)
STATE/items/KEY/log           what the work said
STATE/items/KEY/...           its report, its lock
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.core.values import as_dict, defaults
from debloat.core.written import written_whole
from debloat.fleet.model import Finished, Outcome, Status, Verb

DIRECTORY = ".debloat-fleet"
"""Where it is kept by default: beside the file of the fleet."""
FORMAT = "debloat-fleet-item"
VERSION = 1
LOG = "log"
LOCK = "debloat.lock"
KEPT_FILE = "kept.json"
"""What the image keeps (`kept.KeptSet`), where it is to share layers."""
REPORT = "report.json"
_ROW = "item.json"
_IMAGES = "images.json"


class Ledger:
    """The state of a fleet below a directory, which is made when something is written."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A block for one run alone; UsageError where another is at work here. A run that is killed holds nothing."""
        path = self.directory / "lock"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            handle = path.open("w")
        except OSError as error:
            raise UsageError(
                f"cannot write {path}: {error.strerror}", "name a directory that can be written with --state DIR"
            ) from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(
                    f"another run is at work in {self.directory}", "wait for its end, or give this one --state DIR"
                ) from error
            yield

    def place(self, key: str) -> Path:
        """The directory of an item."""
        return self.directory / "items" / key

    def read(self, key: str) -> Outcome | None:
        """The row of an item; None where there is none that can be read."""
        try:
            raw = json.loads((self.place(key) / _ROW).read_bytes())
            return outcome_of(raw["item"]) if (raw["format"], raw["version"]) == (FORMAT, VERSION) else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def write(self, finished: Finished) -> Outcome:
        """Keep what came back of a task; the row, with the path of its log, comes last."""
        key = finished.outcome.key
        place = self.place(key)
        for name, data in sorted(finished.files.items()):
            with written_whole(place / name) as draft:
                draft.write_bytes(data)
        log = f"items/{key}/{LOG}" if LOG in finished.files else ""
        outcome = replace(finished.outcome, log=log)
        with written_whole(place / _ROW) as draft:
            row = {"format": FORMAT, "version": VERSION, "item": as_dict(outcome)}
            draft.write_text(json.dumps(row, indent=2) + "\n")
        return outcome

    def note(self, names: Iterable[str]) -> None:
        """Note images that a run is about, so that those are known that it does not come to."""
        with written_whole(self.directory / _IMAGES) as draft:
            draft.write_text(json.dumps(sorted(self._noted() | set(names)), indent=0) + "\n")

    def _noted(self) -> set[str]:
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            return {name for name in json.loads((self.directory / _IMAGES).read_bytes()) if isinstance(name, str)}
        return set()

    def names(self) -> tuple[str, ...]:
        """The images that are known here, by name: those of rows, and those that were noted."""
        return tuple(sorted(self._noted() | {row.name for _, row in self.rows()}))

    def rows(self) -> Iterator[tuple[float, Outcome]]:
        """All rows with the time (seconds since the epoch) of their writing, the oldest first."""
        paths = ((path.stat().st_mtime, path) for path in (self.directory / "items").glob(f"*/{_ROW}"))
        for written, path in sorted(paths):
            outcome = self.read(path.parent.name)
            if outcome is not None:
                yield written, outcome


def outcome_of(raw: dict[str, Any]) -> Outcome:
    """A row of what JSON gave; KeyError, TypeError or ValueError for what is none."""
    named = {name: type(default) for name, default in defaults(Outcome).items()}
    values = {name: value for name, value in raw.items() if name in named}
    for name, value in values.items():
        kinds = {float: (int, float), int: (int,)}.get(named[name], (str,))
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise TypeError(name)
    return Outcome(**{**values, "status": Status(raw["status"]), "verb": Verb(raw["verb"])})
