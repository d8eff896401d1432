"""From files of other tools to a trace of an image: which format it is, which runs are the image's, which paths it has.

A path counts as it stands in the file: what was recorded in another build names what that build had. So a run that says
that it is of another image is refused, unless it is asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.core.model import Access, Image, Trace
from debloat.core.text import count
from debloat.image.rootfs import Rootfs
from debloat.record.imports import gadget, kubescape, sensor, strace
from debloat.record.imports.run import Run, is_of

MAX_SIZE = 1 << 30
"""Bytes of one file. A larger one is not read."""
_HEAD = 1 << 16

FORMATS = (
    "text of strace -f, JSON of Inspektor Gadget's trace_open and trace_exec, Kubescape's ApplicationProfile as JSON "
    "or YAML, or what the sensor recorded"
)


class Found(Struct, frozen=True):
    """What files came to: the runs in them, sorted, and how they were recorded."""

    runs: tuple[Run, ...]
    mechanisms: frozenset[str]


class Imported(Struct, frozen=True):
    """A trace made of them, with notes on what it leaves out."""

    trace: Trace
    notes: tuple[str, ...]


def is_foreign(data: bytes) -> str:
    """What wrote a file, where it is of a format that can be imported; else empty."""
    if sensor.looks_like(data[:_HEAD]):
        return "the sensor"
    first = _first_value(data)
    if gadget.looks_like(first):
        return "Inspektor Gadget"
    if kubescape.looks_like(first) or _is_yaml_profile(data[:_HEAD]):
        return "Kubescape"
    return "strace" if strace.looks_like(data[:_HEAD]) else ""


def read(files: Mapping[str, bytes], workdir: str) -> Found:
    """The runs in files, by their names. `workdir` is where the image's program starts. UsageError: no known format."""
    runs, mechanisms, traced = list[Run](), set[str](), dict[str, bytes]()
    for name, data in sorted(files.items()):
        kind, short = is_foreign(data), name.rpartition("/")[2]
        try:
            if kind == "the sensor":
                run, mechanism = sensor.parse(data, short)
                runs.append(run)
                mechanisms.add(mechanism)
            elif kind == "strace":
                traced[name] = data
            elif kind == "Inspektor Gadget":
                runs += gadget.parse(gadget.values(_decoded(data)), short)
                mechanisms.add("inspektor-gadget")
            elif kind == "Kubescape":
                runs += kubescape.parse(_documents(data), short)
                mechanisms.add("kubescape")
            else:
                raise ValueError("it is none of the formats that are known")
        except (ValueError, RecursionError) as error:
            raise UsageError(f"cannot import {name}: {error}", f"give it {FORMATS}") from error
    for group in _groups(traced):
        runs.append(strace.parse(group, f"strace {_common(group)}", workdir))
        mechanisms.add("strace")
    return Found(tuple(sorted(runs, key=lambda run: run.context)), frozenset(mechanisms))


def of_image(found: Found, image: Image, rootfs: Rootfs, *, any_image: bool = False) -> Imported:
    """The trace of the image: the runs that say that they are of it, and those that do not say.

    With `any_image` all runs are. UsageError where none is left, naming the images there are, or without any path.
    """
    mine = [run for run in found.runs if any_image or not run.images or is_of(run, image)]
    if found.runs and not mine:
        others = sorted({run.images[0] for run in found.runs})
        more = f" and {count(len(others) - 5, 'other')}" if len(others) > 5 else ""
        raise UsageError(
            f"cannot import for {image.reference}: what was recorded is of {', '.join(others[:5])}{more}",
            "name that image, or pass --any-image if the paths of this one are the same",
        )
    accesses = {access for run in mine for access in (*run.accesses, *_matched(run, rootfs))}
    if not accesses:
        raise UsageError(f"cannot import for {image.reference}: no path was recorded", f"give it {FORMATS}")
    trace = Trace(frozenset(accesses), frozenset({image.identity}), found.mechanisms)
    return Imported(trace, tuple(_notes(found, mine, accesses, image, rootfs)))


def _matched(run: Run, rootfs: Rootfs) -> Iterator[Access]:
    """The accesses that patterns stand for: one for each file of the image that matches."""
    for pattern in sorted(run.patterns):
        literal = kubescape.literal_part(pattern.path)
        matches = kubescape.matching(pattern.path).fullmatch
        real = rootfs.resolve(literal or "/").path
        for entry in rootfs.walk(real) if real else ():
            path = literal + entry.path.removeprefix(real if real != "/" else "") if real else ""
            if not entry.is_dir and matches(path):
                yield replace(pattern, path=path)


def _notes(found: Found, mine: list[Run], accesses: set[Access], image: Image, rootfs: Rootfs) -> Iterator[str]:
    paths = {access.path for access in accesses}
    there = sum(rootfs.resolve(path, follow=False).path is not None for path in sorted(paths))
    yield f"{there:,} of {count(len(paths), 'path')} are in {image.reference}"
    if left := len(found.runs) - len(mine):
        yield f"{count(left, 'run')} of other images left out"
    for run in mine:
        if run.unresolved:
            yield f"{run.context}: {count(run.unresolved, 'path')} whose directory is not known"
        if run.patterns:
            yield f"{run.context}: {count(len(run.patterns), 'pattern')} taken for every file that matches"


def _groups(files: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    """The files of strace by what they have in common: those of `-ff` differ in the number at the end."""
    groups: dict[str, dict[str, bytes]] = {}
    for name, data in files.items():
        head, _, last = name.rpartition(".")
        groups.setdefault(head if last.isascii() and last.isdigit() else name, {})[name] = data
    yield from (group for _, group in sorted(groups.items()))


def _common(group: Mapping[str, bytes]) -> str:
    names = [name.rpartition("/")[2] for name in sorted(group)]
    return names[0] if len(names) == 1 else names[0].rpartition(".")[0]


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _first_value(data: bytes) -> object:
    """The first JSON value of a file, of an array its first; None where it has none."""
    if data[:_HEAD].lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        value = next(gadget.values(_decoded(data)), None)
    except (ValueError, RecursionError):
        return None
    return value[0] if isinstance(value, list) and value else value


def _is_yaml_profile(head: bytes) -> bool:
    return (
        re.search(rb"^(?:  )?(?:- )?kind: *[\"']?(?:Application|Container)Profile(?:List)?[\"']? *\r?$", head, re.M)
        is not None
    )


def _documents(data: bytes) -> Iterator[object]:
    text = _decoded(data)
    try:
        os.fsencode(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    return gadget.values(text) if text.lstrip()[:1] == "{" else kubescape.yaml_values(text)
