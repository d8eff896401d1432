"""Locks as files: read, and written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from debloat.core.errors import UsageError
from debloat.core.written import written_whole
from debloat.lock import format as lock

if TYPE_CHECKING:
    from debloat.result import Outcome, Sink


def sink(path: Path) -> Sink:
    """Writes the lock of a result that was tagged; an unproven one leaves the old lock as it is."""

    from debloat.lock.manifest import lock_of_run

    def write(outcome: Outcome) -> None:
        if outcome.report.result:
            save(lock_of_run(outcome), path)

    return write


def save(value: lock.Lock, path: Path) -> None:
    """Write a lock, whole or not at all."""
    with written_whole(path) as draft:
        draft.write_bytes(lock.dump(value))


def read(path: Path) -> lock.Lock:
    """The lock in a file."""
    try:
        return lock.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(
            f"cannot read the lock {path}: {error.strerror}",
            "write one with `debloat lock IMAGE`, or name it with --lock",
        ) from error
