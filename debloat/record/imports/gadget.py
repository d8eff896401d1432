"""What Inspektor Gadget's `trace_open` and `trace_exec` wrote (`-o json` or `-o jsonpretty`): an object an event.

The fields are those of its gadgets: `fname` as the program gave it (cut off after 254 bytes), `fpath` where links led
(with `--paths`), `exepath`, `file` and `cwd` of an exec (with `--paths`), `proc.comm`; `runtime` and `k8s` say which
container. The `path` and `comm` of the gadgets before version 0.31 are understood as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from debloat.core.model import Access, Op
from debloat.record.imports.calls import open_letters
from debloat.record.imports.run import Run

NAME_MAX = 254
"""Bytes of a name that the gadget has room for."""


def looks_like(value: object) -> bool:
    """Whether the first value of a file is an event."""
    if not isinstance(value, dict) or not isinstance(value.get("runtime", value.get("k8s")), dict):
        return False
    return any(isinstance(value.get(key), str) for key in ("fname", "exepath", "path", "args"))


def parse(values: Iterator[object], name: str) -> list[Run]:
    """The runs in a file, one a container, sorted by their contexts. ValueError for what is no event."""
    runs: dict[str, Run] = {}
    for value in values:
        for event in value if isinstance(value, list) else [value]:
            if not isinstance(event, dict):
                raise ValueError(f"{event!r:.40} is no event")
            run = _run(event, name)
            runs[run.context] = runs[run.context].united(run) if run.context in runs else run
    return [run for _, run in sorted(runs.items())]


def _run(event: Mapping[str, Any], name: str) -> Run:
    """One event as a run."""
    runtime, k8s = _object(event, "runtime"), _object(event, "k8s")
    where = [_string(k8s, key) for key in ("namespace", "podName", "containerName")]
    container = "/".join(part for part in where if part) or _string(runtime, "containerName")
    image = tuple(filter(None, (_string(runtime, key) for key in _IMAGE)))
    context = " ".join(filter(None, ("inspektor-gadget", name, container)))
    program = _string(_object(event, "proc"), "comm") or _string(event, "comm")
    uses, unresolved = _uses(event)
    accesses = frozenset(Access(path, op, flags, context, program) for path, op, flags in uses)
    return Run(context, image, accesses, unresolved=unresolved)


_IMAGE = ("containerImageName", "containerImageDigest", "containerImageId")


def _uses(event: Mapping[str, Any]) -> tuple[list[tuple[str, Op, str]], int]:
    """What an event uses: paths with operation and flags; and how many paths of it are not known."""
    if "fname" in event or ("path" in event and "exepath" not in event):
        given, real = _string(event, "fname") or _string(event, "path"), _string(event, "fpath")
        flags = event.get("flags")
        letters = open_letters("|".join(map(str, flags)) if isinstance(flags, list) else str(flags or ""))
        whole = given.startswith("/") and len(given.encode("utf-8", "surrogatepass")) < NAME_MAX
        paths = [given] if whole else [real] if real.startswith("/") else []
        return [(path, Op.OPEN, letters) for path in paths if "\0" not in path], 0 if paths or not given else 1
    ran = [path for key in ("exepath", "file") if (path := _string(event, key)).startswith("/") and "\0" not in path]
    directory = _string(event, "cwd")
    changed = [(directory, Op.CHDIR, "")] if directory.startswith("/") and "\0" not in directory else []
    return [*((path, Op.EXEC, "") for path in ran), *changed], 0 if ran or "args" not in event else 1


def _object(event: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = event.get(key)
    return value if isinstance(value, dict) else {}


def _string(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    return value if isinstance(value, str) else ""


def values(text: str) -> Iterator[object]:
    """The JSON values that stand one after another in a text, as lines or not. ValueError where one is damaged."""
    decoder, at = json.JSONDecoder(), 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at >= len(text):
            return
        value, at = decoder.raw_decode(text, at)
        yield value
