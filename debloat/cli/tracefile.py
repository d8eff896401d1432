"""Traces as files: read, and written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from debloat.core.errors import UsageError
from debloat.core.model import Trace
from debloat.core.written import written_whole
from debloat.record import trace


def read(name: str) -> Trace:
    """The trace in a file."""
    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the trace {name}: {error.strerror}", "`debloat record IMAGE --save-trace FILE` makes one"
        ) from error
    try:
        return trace.parse(data, name)
    except UsageError:
        from debloat.record.imports.read import is_foreign

        if tool := is_foreign(data):
            raise UsageError(
                f"cannot use the trace {name}: {tool} wrote it", f"debloat import IMAGE {name} -o FILE makes one of it"
            ) from None
        raise


def save(value: Trace, path: Path) -> None:
    """Write a trace, whole or not at all."""
    with written_whole(path) as draft:
        draft.write_bytes(trace.dump(value))
