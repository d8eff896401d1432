"""What Kubescape learned of a workload: ApplicationProfile and ContainerProfile objects, as JSON or YAML.

The fields are those of kubescape/storage (`spdx.softwarecomposition.kubescape.io`): a container has `opens` (`path`,
`flags`), `execs` (`path`), `imageID` and `imageTag`. Kubescape joins paths of which it saw many in one directory:
a part of such a path is `⋯` for any name, or `*` for any names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from debloat.core.model import Access, Op
from debloat.record.imports.calls import open_letters
from debloat.record.imports.run import Run

ANY_NAME, ANY_NAMES = "\N{MIDLINE HORIZONTAL ELLIPSIS}", "*"
KINDS = ("ApplicationProfile", "ContainerProfile")
MAX_OPENS = 1_000_000
"""Paths in one file; a file whose aliases make more of them is no profile."""
_MAX_DEPTH = 64
_LISTS = ("containers", "initContainers", "ephemeralContainers")


def looks_like(value: object) -> bool:
    """Whether a value of a file is a profile, or a list of some as kubectl writes it."""
    return isinstance(value, dict) and any(True for _ in _profiles([value]))


def parse(values: Iterable[object], name: str) -> list[Run]:
    """The runs in a file, one a container of a profile, sorted by their contexts. ValueError for what is no profile."""
    runs: dict[str, Run] = {}
    budget = MAX_OPENS
    for profile in _profiles(values):
        meta, spec = _object(profile, "metadata"), _object(profile, "spec")
        workload = "/".join(filter(None, (_string(meta, "namespace"), _string(meta, "name"))))
        inside = [c for key in _LISTS for c in _list(spec, key)] if profile["kind"] == KINDS[0] else [spec]
        for container in inside:
            context = " ".join(filter(None, ("kubescape", name, workload, _string(container, "name"))))
            budget -= len(_list(container, "opens")) + len(_list(container, "execs"))
            if budget < 0:
                raise ValueError(f"it has more than {MAX_OPENS:,} paths")
            run = _run(container, context)
            runs[context] = runs[context].united(run) if context in runs else run
    return [run for _, run in sorted(runs.items())]


def _run(container: Mapping[str, Any], context: str) -> Run:
    image = tuple(filter(None, (_string(container, "imageTag"), _string(container, "imageID"))))
    accesses: set[Access] = set()
    unresolved = 0
    for opened in _list(container, "opens"):
        path, flags = _string(opened, "path"), open_letters("|".join(map(str, _list(opened, "flags"))))
        if path.startswith("/") and "\0" not in path:
            accesses.add(Access(path, Op.OPEN, flags, context, ""))
        else:
            unresolved += bool(path)
    for ran in _list(container, "execs"):
        if (path := _string(ran, "path")).startswith("/") and "\0" not in path:
            accesses.add(Access(path, Op.EXEC, "", context, path))
    patterns = frozenset(a for a in accesses if _is_pattern(a.path))
    return Run(context, image, frozenset(accesses - patterns), patterns, unresolved)


def _is_pattern(path: str) -> bool:
    return any(part in (ANY_NAME, ANY_NAMES) for part in path.split("/"))


def matching(pattern: str) -> re.Pattern[str]:
    """What matches the paths that a pattern stands for."""
    parts = {ANY_NAME: "[^/]+", ANY_NAMES: ".*"}
    return re.compile("/".join(parts.get(part) or re.escape(part) for part in pattern.split("/")), re.DOTALL)


def literal_part(pattern: str) -> str:
    """The directory above everything that a pattern leaves open; empty for the root."""
    parts = pattern.split("/")
    return "/".join(parts[: next(i for i, part in enumerate(parts) if part in (ANY_NAME, ANY_NAMES))])


def _profiles(values: Iterable[object]) -> Iterator[Mapping[str, Any]]:
    for value in values:
        if isinstance(value, dict) and value.get("kind") in KINDS:
            yield value
        elif isinstance(value, dict) and isinstance(value.get("items"), list):
            yield from (v for v in value["items"] if isinstance(v, dict) and v.get("kind") in KINDS)


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key) or {}
    if not isinstance(found, dict):
        raise ValueError(f"{key} is {found!r:.40}")
    return found


def _list(value: object, key: str) -> list[Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.40} is no object")
    found = value.get(key) or []
    if not isinstance(found, list):
        raise ValueError(f"{key} is {found!r:.40}")
    return found


def _string(value: object, key: str) -> str:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.40} is no object")
    found = value.get(key) or ""
    if not isinstance(found, str):
        raise ValueError(f"{key} is {found!r:.40}")
    return found


def yaml_values(text: str) -> Iterator[object]:
    """The documents of a YAML text, every scalar a string. ValueError where it is damaged, or refers within itself."""
    import yaml

    parser = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        depth = 0
        for event in yaml.parse(text, parser):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH or isinstance(event, yaml.AliasEvent):
                raise ValueError("it is no profile: it has aliases, or is nested too deep")
        yield from yaml.load_all(text, parser)
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {str(error).splitlines()[0]}") from error
