"""Packages of languages' own package managers, by the metadata that these write beside what they install.

Pip's (PyPA's "Recording installed projects", and egg-info of setuptools), npm's (`package.json`, which must have a name
and a version), RubyGems' (`specifications/NAME.gemspec`, whose first lines have a stub). Texts in, facts out; what is
garbage says nothing.
"""

from __future__ import annotations

import csv
import email.parser
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from debloat.image.rootfs import Rootfs
from debloat.inventory.licences import classifiers, stated
from debloat.inventory.model import Component

MAX_METADATA = 4 << 20
"""Bytes read of a package's metadata; the largest real ones have about one million."""
MAX_WORD = 250
"""Characters of a name or a version; registries allow 214 at most."""

_STUB = re.compile(r"^# stub: (\S+) (\S+) \S+ ", re.MULTILINE)
_GEM = re.compile(r"""\.(name|version)\s*=\s*(?:Gem::Version\.new\()?["']([^"'\n]+)["']""")
_GEM_LICENCES = re.compile(r"""\.licenses?\s*=\s*\[?((?:["'][^"'\n]+["'](?:\.freeze)?(?:,\s*)?)+)""")
_QUOTED = re.compile(r"""["']([^"'\n]+)["']""")


def text_of(rootfs: Rootfs, path: str) -> str:
    """The beginning of a file as text."""
    return rootfs.read(path, MAX_METADATA).decode("utf-8", "replace")


def sane(*words: object) -> bool:
    """Whether these can be a name and a version: short printable texts without white space."""
    return all(isinstance(w, str) and 0 < len(w) <= MAX_WORD and w.isprintable() and " " not in w for w in words)


def normal_name(kind: str, name: str) -> str:
    """A package's name as its registry compares them: PyPI takes `Some_Thing` and `some-thing` for one (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower() if kind == "pypi" else name


# ------------------------------------------------------------------------------------------ pip


def python(rootfs: Rootfs) -> Iterator[Component]:
    """What pip or setuptools installed."""
    paths = [p for p in rootfs.named("METADATA", "PKG-INFO") if p.split("/")[-2].endswith((".dist-info", ".egg-info"))]
    paths += list(rootfs.ending(".egg-info"))
    for path in _read(rootfs, paths):
        headers = email.parser.Parser().parsestr(text_of(rootfs, path), headersonly=True)
        name, version = headers.get("Name"), headers.get("Version")
        if not sane(name, version):
            continue
        licences = stated([headers.get("License-Expression")]) or stated([headers.get("License")])
        licences = licences or stated(classifiers(str(v) for v in headers.get_all("Classifier", ())))
        files = sorted(_recorded(rootfs, path))
        yield Component("pypi", str(name), str(version), (path,), tuple(files), licences)


def _recorded(rootfs: Rootfs, path: str) -> set[str]:
    """The files of a distribution: its metadata, and what RECORD or top_level.txt lists."""
    directory = path.rpartition("/")[0]
    if path.endswith((".egg-info", ".dist-info")):
        return {path}
    site = directory.rpartition("/")[0]
    found = {entry.path for entry in rootfs.walk(directory) if entry.is_file}
    names: list[str] = []
    if rootfs.is_file(f"{directory}/RECORD"):
        lines = text_of(rootfs, f"{directory}/RECORD").splitlines()
        try:
            names = [row[0] for row in csv.reader(lines) if row and row[0]]
        except csv.Error:
            names = []
    elif rootfs.is_file(f"{directory}/top_level.txt"):
        for top in text_of(rootfs, f"{directory}/top_level.txt").split():
            if top.isidentifier():
                found.update(e.path for e in rootfs.walk(f"{site}/{top}") if e.is_file)
                found.update(
                    p for p in rootfs.glob(f"{site}/{top}.*") if (e := rootfs.get(p)) is not None and e.is_file
                )
    for name in names:
        real = rootfs.resolve(posixpath.normpath(posixpath.join(site, name)), follow=False).path
        if real is not None and (entry := rootfs.get(real)) is not None and entry.is_file:
            found.add(real)
    return found


# ------------------------------------------------------------------------------------------ npm


def node(rootfs: Rootfs) -> Iterator[Component]:
    """What npm or its kin installed, and applications that call themselves by name and version."""
    roots: dict[str, tuple[str, str, dict[str, Any]]] = {}
    for path in _read(rootfs, rootfs.named("package.json")):
        try:
            document = json.loads(text_of(rootfs, path))
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict) and sane(document.get("name"), document.get("version")):
            roots[path.rpartition("/")[0]] = (path, f"{document['name']}\0{document['version']}", document)
    files = _below(rootfs, roots)
    for directory, (path, key, document) in sorted(roots.items()):
        name, _, version = key.partition("\0")
        yield Component("npm", name, version, (path,), tuple(files[directory]), stated(_npm_licences(document)))


def _npm_licences(document: dict[str, Any]) -> Iterator[object]:
    """`license` as a text; as an object or a list of these, as old packages have it."""
    for field in (document.get("license"), document.get("licenses")):
        for item in field if isinstance(field, list) else (field,):
            yield item.get("type") if isinstance(item, dict) else item


def _below(rootfs: Rootfs, roots: Iterable[str]) -> dict[str, list[str]]:
    """The regular files below each directory, each with the nearest of them."""
    found: dict[str, list[str]] = {root: [] for root in roots}
    for root in sorted(found):
        for entry in rootfs.walk(root or "/"):
            if entry.is_file and _nearest(entry.path, found) == root:
                found[root].append(entry.path)
    return found


def _nearest(path: str, roots: Iterable[str]) -> str | None:
    while path:
        path = path.rpartition("/")[0]
        if path in roots:
            return path
    return None


# ------------------------------------------------------------------------------------------ gem


def ruby(rootfs: Rootfs) -> Iterator[Component]:
    """What RubyGems installed."""
    paths = [path for path in rootfs.ending(".gemspec") if "/specifications/" in path]
    for path in _read(rootfs, paths):
        text = text_of(rootfs, path)
        found = dict(reversed(_GEM.findall(text)))
        if stub := _STUB.search(text):
            found = {"name": stub[1], "version": stub[2]}
        name, version = found.get("name"), found.get("version")
        if not (name and version and sane(name, version)):
            continue
        home = path.partition("/specifications/")[0]
        whole = f"{home}/gems/{path.rpartition('/')[2].removesuffix('.gemspec')}"
        files = {path} | {entry.path for entry in rootfs.walk(whole) if entry.is_file}
        licences = [name for group in _GEM_LICENCES.findall(text) for name in _QUOTED.findall(group)]
        yield Component("gem", name, version, (path,), tuple(sorted(files)), stated(licences))


def _read(rootfs: Rootfs, paths: Iterable[str]) -> list[str]:
    """The regular files among the paths, sorted, their contents near."""
    found = sorted({p for p in paths if (e := rootfs.get(p)) is not None and e.is_file})
    rootfs.fetch(found)
    return found


READERS: tuple[Callable[[Rootfs], Iterator[Component]], ...] = (python, node, ruby)
"""What reads the packages of each language."""
