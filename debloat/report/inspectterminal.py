"""What an image is made of, for a person: tables, or its directories as a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from debloat.anatomy.binaries import Binary
from debloat.anatomy.image import Anatomy
from debloat.anatomy.layers import LayerShare
from debloat.anatomy.tree import Branch
from debloat.core.model import Image
from debloat.core.text import count, name, percent, size
from debloat.gate.check import is_minimal
from debloat.image.carve import BASE_DIGEST, BASE_NAME
from debloat.report.tables import Column, line, ordered, section, table

_LISTS = (
    ("setuid or setgid", "setuid"),
    ("shells", "shells"),
    ("package managers", "package_managers"),
    ("writable by all", "world_writable"),
)
_INSTRUCTION = 100
"""Characters of an instruction that are shown."""


def base(image: Image) -> dict[str, str]:
    """The labels that say what an image was made of."""
    labels = image.config.raw.get("Labels") or {}
    return {key: str(labels[key]) for key in (BASE_NAME, BASE_DIGEST) if key in labels}


def heading(image: Image) -> Iterator[Text]:
    """What the image is."""
    made = ", cut by debloat" if is_minimal(image) else ""
    yield line(f"{image.reference}  {image.id}  {image.platform_name}{made}")
    for key, value in base(image).items():
        yield line(f"  {key.rpartition('.')[0].rpartition('.')[2]} {key.rpartition('.')[2]}: {value}")
    yield line(f"  user: {image.config.user or 'root'}, ports: {', '.join(image.config.ports) or 'none'}")


def overview(anatomy: Anatomy, sort: str, limit: int) -> Iterator[RenderableType]:
    """All that was found, a section each."""
    figures = anatomy.footprint
    yield from heading(anatomy.image)
    yield line(f"  {size(figures.bytes)}, {count(figures.files, 'file')}, {count(figures.packages, 'package')}")
    for title, attribute in _LISTS:
        paths = getattr(figures, attribute)
        yield line(f"  {title}: {len(paths)}" + (f"  {' '.join(paths)}" if paths else ""))
    for part in anatomy.sections:
        yield from _SECTIONS[part](anatomy, sort, limit)


def _packages(anatomy: Anatomy, sort: str, limit: int) -> Iterator[RenderableType]:
    whole = anatomy.footprint.bytes
    found = ordered(anatomy.packages, sort, lambda p: (p.bytes, p.files, p.name))
    yield section("Packages", f"{size(sum(p.bytes for p in found))} of {size(whole)}")
    columns = (
        *(Column("package"), Column("version"), Column("files", True), Column("size", True)),
        *(Column("share", True), Column("", bar=True)),
    )
    rows = [
        (p.name, p.version, f"{p.files:,}", size(p.bytes), percent(p.bytes, whole), p.bytes / whole if whole else 0.0)
        for p in found
    ]
    yield from table(columns, rows, limit)


def _unowned(anatomy: Anatomy, sort: str, limit: int) -> Iterator[RenderableType]:
    whole = anatomy.footprint.bytes
    found = ordered(anatomy.unowned, sort, lambda p: (p.bytes, p.files, p.path))
    yield section("Files of no package, by place", size(sum(p.bytes for p in found)))
    columns = (
        Column("place"),
        Column("files", True),
        Column("size", True),
        Column("share", True),
        Column("", bar=True),
    )
    rows = [
        (p.path, f"{p.files:,}", size(p.bytes), percent(p.bytes, whole), p.bytes / whole if whole else 0.0)
        for p in found
    ]
    yield from table(columns, rows, limit)


def _layers(anatomy: Anatomy, sort: str, limit: int) -> Iterator[RenderableType]:
    layers = anatomy.layers.layers
    wasted = sum(layer.hidden for layer in layers)
    about = f"{size(wasted)} in them that a later layer hides" if wasted else "nothing in them is hidden by a later one"
    yield section("Layers", about)
    columns = (
        *(Column("", True), Column("size", True), Column("files", True), Column("new", True), Column("replaced", True)),
        *(Column("removed", True), Column("hides", True), Column("hidden later", True), Column("made by")),
    )
    yield from table(columns, [_layer(number, layer) for number, layer in enumerate(layers, 1)], 0)


def _layer(number: int, layer: LayerShare) -> tuple[str, ...]:
    made = instruction(layer.created_by)
    if not layer.known:
        return (str(number), *("?",) * 7, made)
    sizes = (size(layer.hides) if layer.hides else "-", size(layer.hidden) if layer.hidden else "-")
    counts = (f"{n:,}" if n else "-" for n in (layer.files, layer.added, layer.replaced, layer.removed))
    return (str(number), size(layer.bytes), *counts, *sizes, made)


def instruction(created_by: str) -> str:
    """An instruction of a Dockerfile as its history has it, without what builders put around it, cut to a line."""
    text = " ".join(created_by.split())
    for start, keyword in (("/bin/sh -c #(nop)", ""), ("/bin/sh -c", "RUN "), ("RUN /bin/sh -c", "RUN ")):
        if text.startswith(start):
            text = keyword + text.removeprefix(start).strip()
            break
    text = text.removesuffix("# buildkit").strip()
    return text if len(text) <= _INSTRUCTION else f"{text[: _INSTRUCTION - 1]}…"


def weaknesses(binary: Binary) -> tuple[str, ...]:
    """What a file lacks of the usual hardening, in words."""
    how = binary.hardening
    found = (
        ("fixed address", how.form == "fixed"),
        ("executable stack", not how.nx),
        ("no RELRO", how.relro == "none"),
        (f"searches {':'.join(how.paths)}", any(not _is_safe(path) for path in how.paths)),
    )
    return tuple(words for words, so in found if so)


def _is_safe(directory: str) -> bool:
    """Whether a directory of DT_RUNPATH is a system's own, or beside the file: `$ORIGIN` is (ld.so(8))."""
    return directory.startswith(("$ORIGIN", "${ORIGIN}", "/usr/", "/lib", "/opt/"))


def _binaries(anatomy: Anatomy, sort: str, limit: int) -> Iterator[RenderableType]:
    found = anatomy.binaries
    programs = [b for b in found if b.hardening.form in ("pie", "fixed")]
    yield section("ELF files", f"{count(len(programs), 'program')}, {len(found) - len(programs):,} libraries")
    tests: tuple[tuple[str, Sequence[Binary], Callable[[Binary], bool]], ...] = (
        ("position independent", programs, lambda b: b.hardening.form == "pie"),
        ("full RELRO", found, lambda b: b.hardening.relro == "full"),
        ("RELRO at least in part", found, lambda b: b.hardening.relro != "none"),
        ("stack not executable", found, lambda b: b.hardening.nx),
        ("stack canaries", found, lambda b: b.hardening.canary),
        ("fortified functions", found, lambda b: b.hardening.fortify),
        ("no search path of their own", found, lambda b: not b.hardening.paths),
    )
    rows = [
        (title, f"{sum(map(good, among)):,}", f"{len(among):,}", percent(sum(map(good, among)), len(among)))
        for title, among, good in tests
    ]
    yield from table((Column("hardening"), Column("have it", True), Column("of", True), Column("share", True)), rows, 0)
    weak = [(b.path, ", ".join(words)) for b in found if (words := weaknesses(b))]
    if weak:
        yield Text("")
        yield from table((Column("weaker than usual"), Column("how")), weak, limit)


def _privileged(anatomy: Anatomy, sort: str, limit: int) -> Iterator[RenderableType]:
    rows = [(p.path, p.owner, " ".join(p.rights)) for p in anatomy.privileged]
    yield section("Files that give rights", "" if rows else "none")
    if rows:
        yield from table((Column("file"), Column("owner"), Column("rights")), rows, limit)


def _credentials(anatomy: Anatomy, sort: str, limit: int) -> Iterator[RenderableType]:
    rows = [(c.where, str(c.line or ""), c.kind, c.note) for c in anatomy.credentials]
    yield section("What looks like a credential", "" if rows else "nothing")
    if rows:
        yield from table((Column("where"), Column("line", True), Column("what"), Column("")), rows, limit)


def _duplicates(anatomy: Anatomy, sort: str, limit: int) -> Iterator[RenderableType]:
    found = anatomy.duplicates
    yield section("Same content more than once", size(sum(d.wasted for d in found)) + " too much" if found else "none")
    if found:
        rows = [(size(d.wasted), str(len(d.paths)), size(d.size), _some(d.paths)) for d in found]
        columns = (Column("too much", True), Column("copies", True), Column("each", True), Column("paths"))
        yield from table(columns, rows, limit)


def _some(paths: Sequence[str], most: int = 3) -> str:
    rest = len(paths) - most
    return " ".join(paths[:most]) + (f" and {rest} more" if rest > 0 else "")


_SECTIONS: dict[str, Callable[[Anatomy, str, int], Iterator[RenderableType]]] = {
    "packages": _packages,
    "unowned": _unowned,
    "layers": _layers,
    "binaries": _binaries,
    "privileged": _privileged,
    "credentials": _credentials,
    "duplicates": _duplicates,
}


def tree(image: Image, root: Branch, depth: int, limit: int, sort: str) -> Iterator[RenderableType]:
    """The directories to a depth, the largest first, with the package that most of each is of."""
    yield from heading(image)
    whole = Tree(_branch(root, root.bytes))
    _grow(whole, root, root.bytes, depth, limit, sort)
    yield whole


def _grow(onto: Tree, branch: Branch, whole: int, depth: int, limit: int, sort: str) -> None:
    children: Iterable[Branch] = ordered(branch.children, sort, lambda b: (b.bytes, b.files, b.name))
    shown = list(children)[: limit or None]
    for child in shown:
        node = onto.add(_branch(child, whole))
        if depth > 1:
            _grow(node, child, whole, depth - 1, limit, sort)
    if len(shown) < len(branch.children):
        onto.add(Text(f"... and {len(branch.children) - len(shown):,} more", style="dim"))


def _branch(branch: Branch, whole: int) -> Text:
    text = Text(name(branch.name), style="bold")
    text.append(f"  {size(branch.bytes)}", style="not bold")
    text.append(f"  {percent(branch.bytes, whole)}, {count(branch.files, 'file')}", style="not bold dim")
    return text.append(f"  {name(branch.owner)}", style="not bold cyan") if branch.owner else text
