"""The lock file: a minimal image described for git, so that newer builds can be cut by it, and any build checked.

Text, one record a line, fields separated by one TAB, sorted, made to be reviewed as a diff; docs/lock.md has the format
and its history. `parse` is pure and validates everything: a lock may come out of an untrusted repository.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator

from msgspec import Struct, field

from debloat.core.errors import InternalError, UsageError
from debloat.core.model import Access, Entry, Evidence, Kind, Level, Op, Policy, Trace, Want

MAGIC = "debloat-lock"
VERSION = 1
DEFAULT_NAME = "debloat.lock"
DEFAULT_NAMES = "debloat-{platform}.lock"
"""Of the locks of an index, one a platform."""
MAX_SIZE = 256 << 20
"""Bytes. A larger file is not parsed."""

AGAIN = "make it again with `debloat lock IMAGE`"

_NOTE = "made by debloat; do not edit: change debloat.toml and run `debloat lock`"
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FLAGS = re.compile(r"[a-z]*")
_OPS = {op.value: op for op in Op}
_KINDS = {kind.value: kind for kind in Kind}
_HEADER = ("tool", "image", "id", "platform", "recipe", "layer", "bytes", "user", "ports")


class Item(Struct, frozen=True):
    """One entry of a minimal image.

    `mode` and `size` are as in `Entry`. `content` is the SHA-256 of a file in hexadecimal, a link's target, a device's
    `MAJOR:MINOR`, else empty. `package` is empty for directories and for files of no package. `reason` is the evidence
    with the shortest chain to a root, as `RULE SOURCE`.
    """

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    content: str
    package: str
    reason: str

    def entry(self) -> Entry:
        """The entry of a root file system that it describes; a lock records no times, links or attributes."""
        target = self.content if self.kind is Kind.SYMLINK else ""
        return Entry(self.path, self.kind, self.mode, self.uid, self.gid, self.size, target=target)

    def evidence(self) -> Evidence:
        """The evidence that `reason` states."""
        rule, _, source = self.reason.partition(" ")
        return Evidence(rule, source)


class LockedPackage(Struct, frozen=True, order=True):
    """A package of which files are kept: dpkg name (with architecture where dpkg shows it), version, source package."""

    name: str
    version: str
    source: str


class Lock(Struct, frozen=True):
    """A minimal image, and what is needed to make it again from another build: policy, seeds, manifest.

    `tool` is the version of debloat that wrote it. `reference` and `image` are the original's reference and identity,
    `platform` is as OCI writes it. `recipe` is the digest of the recipe, `layer` that of the uncompressed layer, and
    `bytes` the size of its files. `ports` and `user` are the image's configuration. Manifest and packages are sorted.
    """

    tool: str
    reference: str
    image: str
    platform: str
    recipe: str
    layer: str
    bytes: int
    user: str
    ports: tuple[str, ...]
    policy: Policy
    trace: Trace = Trace()
    healed: tuple[Want, ...] = ()
    packages: tuple[LockedPackage, ...] = ()
    manifest: tuple[Item, ...] = ()


def escape(text: str) -> str:
    """A text as one field: `-` where it is empty; what does not print, a backslash and a space at an end as `\\xNN`.

    No line ends in a space, so editors and hooks that trim lines change nothing.
    """
    if text.isprintable() and "\\" not in text and text == text.strip() and text != "-":
        return text or "-"
    if text == "-":
        return "\\x2d"
    last = len(text) - 1
    return "".join(
        c
        if c.isprintable() and c != "\\" and not (c.isspace() and i in (0, last))
        else "".join(f"\\x{b:02x}" for b in os.fsencode(c))
        for i, c in enumerate(text)
    )


def unescape(text: str) -> str:
    """The text that a field stands for."""
    if "\\" not in text:
        return "" if text == "-" else text
    return os.fsdecode(_ESCAPE.sub(lambda m: bytes((int(m[1], 16),)), os.fsencode(text)))


# ---------------------------------------------------------------------------------------- writing


def dump(lock: Lock) -> bytes:
    """A lock as a file; the same lock, the same bytes."""
    body = "".join(f"{line}\n" for line in _lines(lock)).encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(body).hexdigest()
    return f"{MAGIC}\t{VERSION}\t{_NOTE}\nsha256\t{digest}\n".encode() + body


def _row(*fields: str) -> str:
    return "\t".join(map(escape, fields))


def _lines(lock: Lock) -> Iterator[str]:
    values = (
        *(lock.tool, lock.reference, lock.image, lock.platform, lock.recipe, lock.layer),
        *(str(lock.bytes), lock.user, " ".join(lock.ports)),
    )
    yield from (_row(key, value) for key, value in zip(_HEADER, values, strict=True))
    yield from _policy_lines(lock.policy)
    yield from _manifest_lines(lock)
    yield from _seed_lines(lock.trace)
    if lock.healed:
        yield "[healed]"
        rows = {(w.path, w.rule, w.source, w.detail, "follow" if w.follow else "nofollow") for w in lock.healed}
        yield from (_row(*row) for row in sorted(rows))
    yield "[end]"


def _policy_lines(policy: Policy) -> Iterator[str]:
    yield "[policy]"
    yield _row("level", str(policy.level))
    yield from (_row("level", str(level), glob) for glob, level in policy.levels)
    for key in ("keep", "drop", "keep_packages"):
        yield from (_row(key, value) for value in getattr(policy, key))
    yield from (_row("packages", name, purpose) for name, purpose in policy.packages)


def _manifest_lines(lock: Lock) -> Iterator[str]:
    groups: dict[str, list[Item]] = {}
    directories: list[Item] = []
    for item in lock.manifest:
        (directories if item.kind is Kind.DIR else groups.setdefault(item.package, [])).append(item)
    for package in lock.packages:
        yield "[package]\t" + _row(package.name, package.version, package.source)
        yield from map(_item_line, groups.pop(package.name, ()))
    yield "[application]"
    yield from map(_item_line, groups.pop("", ()))
    yield "[directories]"
    yield from map(_item_line, directories)
    if groups:
        raise InternalError(f"the lock does not name the packages {sorted(groups)}")


def _item_line(item: Item) -> str:
    owner = f"{item.uid}:{item.gid}"
    content = ("-> " if item.kind is Kind.SYMLINK else "") + item.content
    return _row(item.path, item.kind.value, f"{item.mode:04o}", owner, str(item.size), content, item.reason)


def _seed_lines(trace: Trace) -> Iterator[str]:
    groups: dict[tuple[str, str], dict[str, set[str]]] = {}
    for a in trace.accesses:
        uses = groups.setdefault((a.probe, a.program), {}).setdefault(a.path, set())
        uses.add(f"{a.op}:{a.flags}" if a.flags else str(a.op))
    for (probe, program), paths in sorted(groups.items()):
        yield "[seeds]\t" + _row(probe, program)
        yield from (f"{escape(path)}\t{' '.join(sorted(uses))}" for path, uses in sorted(paths.items()))


# ---------------------------------------------------------------------------------------- reading


def parse(data: bytes, name: str) -> Lock:
    """Read what `dump` wrote; UsageError naming `name`, what is wrong and what to do, where it is anything else."""
    try:
        return _parse(_body(data, name), name)
    except _Damaged as error:
        raise UsageError(f"cannot use the lock {name}: {error}", AGAIN) from error


class _Damaged(Exception):
    """A line that is not as the format says."""


def _body(data: bytes, name: str) -> list[str]:
    """The lines after the digest, once format, version, end and digest have been checked."""
    if len(data) > MAX_SIZE:
        raise UsageError(f"cannot use the lock {name}: it is larger than {MAX_SIZE >> 20} MiB", AGAIN)
    data = data.replace(b"\r\n", b"\n")
    head, _, rest = data.partition(b"\n")
    fields = head.split(b"\t")
    if fields[0] != MAGIC.encode():
        raise UsageError(f"cannot use the lock {name}: it is not a debloat lock", f"write one with --lock {name}")
    version = fields[1].decode("ascii", "replace") if len(fields) > 1 else ""
    if version != str(VERSION):
        newer = version.isascii() and version.isdigit() and len(version) < 9 and int(version) > VERSION
        hint = "upgrade debloat" if newer else AGAIN
        raise UsageError(f"cannot use the lock {name}: it has version {version!r}, this debloat reads {VERSION}", hint)
    if re.search(rb"^(<{7}|>{7}) ", data, re.MULTILINE):
        raise UsageError(f"cannot use the lock {name}: a merge left its conflict markers in it", AGAIN)
    if not rest.endswith(b"\n[end]\n"):
        raise UsageError(f"cannot use the lock {name}: it is cut off, its [end] is missing", AGAIN)
    line, _, body = rest.partition(b"\n")
    if line != b"sha256\t" + hashlib.sha256(body).hexdigest().encode():
        raise UsageError(
            f"cannot use the lock {name}: it was edited by hand or damaged, its content does not match its digest",
            f"restore it from git, or {AGAIN}",
        )
    return body.decode("utf-8", "surrogateescape").split("\n")[:-2]


class _Draft(Struct):
    """A lock while it is read."""

    header: dict[str, str] = {}
    level: Level = Level.SAFE
    levels: list[tuple[str, Level]] = []
    globs: dict[str, list[str]] = field(default_factory=lambda: {"keep": [], "drop": [], "keep_packages": []})
    purposes: list[tuple[str, str]] = []
    packages: list[LockedPackage] = []
    manifest: dict[str, Item] = {}
    accesses: set[Access] = set()
    healed: list[Want] = []


def _parse(lines: list[str], name: str) -> Lock:
    draft, section, head = _Draft(), "", list[str]()
    readers = {
        "": _read_header,
        "[policy]": _read_policy,
        "[package]": _read_item,
        "[application]": _read_item,
        "[directories]": _read_item,
        "[seeds]": _read_seed,
        "[healed]": _read_healed,
    }
    read = readers[""]
    for number, line in enumerate(lines, 3):
        fields = [unescape(f) for f in line.split("\t")]
        try:
            if line.startswith("["):
                section, head = fields[0], fields[1:]
                read = readers[section]
                _open_section(draft, section, head)
            else:
                read(draft, fields, head)
        except (ValueError, KeyError, IndexError) as error:
            raise _Damaged(f"line {number} is not as docs/lock.md says: {line[:80]!r}") from error
    return _finished(draft)


def _finished(draft: _Draft) -> Lock:
    missing = [key for key in _HEADER if key not in draft.header]
    if missing:
        raise _Damaged(f"it does not say {', '.join(missing)}")
    header = draft.header
    if not header["bytes"].isdecimal():
        raise _Damaged(f"{header['bytes']!r} is not a number of bytes")
    for key in ("recipe", "layer"):
        if not _DIGEST.fullmatch(header[key]):
            raise _Damaged(f"{header[key]!r} is not a digest")
    keep, drop, packages = (tuple(draft.globs[key]) for key in ("keep", "drop", "keep_packages"))
    return Lock(
        tool=header["tool"],
        reference=header["image"],
        image=header["id"],
        platform=header["platform"],
        recipe=header["recipe"],
        layer=header["layer"],
        bytes=int(header["bytes"]),
        user=header["user"],
        ports=tuple(header["ports"].split()),
        policy=Policy(draft.level, tuple(draft.levels), keep, drop, packages, tuple(draft.purposes)),
        trace=Trace(frozenset(draft.accesses), frozenset({header["id"]}), frozenset()),
        healed=tuple(draft.healed),
        packages=tuple(draft.packages),
        manifest=tuple(item for _, item in sorted(draft.manifest.items())),
    )


def _open_section(draft: _Draft, section: str, head: list[str]) -> None:
    if section == "[package]":
        package = LockedPackage(*_exactly(head, 3))
        if draft.packages and package.name <= draft.packages[-1].name:
            raise ValueError
        draft.packages.append(package)
    else:
        _exactly(head, 2 if section == "[seeds]" else 0)


def _read_header(draft: _Draft, fields: list[str], head: list[str]) -> None:
    key, value = _exactly(fields, 2)
    if key not in _HEADER or key in draft.header:
        raise ValueError
    draft.header[key] = value


def _read_policy(draft: _Draft, fields: list[str], head: list[str]) -> None:
    if fields[0] == "level" and len(fields) == 3:
        draft.levels.append((_absolute(fields[2]), Level[fields[1].upper()]))
    elif fields[0] == "level":
        draft.level = Level[_exactly(fields, 2)[1].upper()]
    elif fields[0] == "packages":
        _, package, purpose = _exactly(fields, 3)
        if purpose not in ("run", "build"):
            raise ValueError
        draft.purposes.append((package, purpose))
    else:
        key, value = _exactly(fields, 2)
        draft.globs[key].append(value if key == "keep_packages" else _absolute(value))


def _read_item(draft: _Draft, fields: list[str], head: list[str]) -> None:
    path, kind_letter, mode, owner, size, content, reason = _exactly(fields, 7)
    kind = _KINDS[kind_letter]
    uid, _, gid = owner.partition(":")
    if kind is Kind.SYMLINK:
        if not content.startswith("-> "):
            raise ValueError
        content = content[3:]
    elif kind is Kind.FILE and not _SHA256.fullmatch(content):
        raise ValueError
    package = head[0] if head else ""
    item = Item(
        _absolute(path), kind, _number(mode, 8), _number(uid), _number(gid), _number(size), content, package, reason
    )
    if item.mode > 0o7777 or path in draft.manifest:
        raise ValueError
    draft.manifest[path] = item


def _read_seed(draft: _Draft, fields: list[str], head: list[str]) -> None:
    path, uses = _exactly(fields, 2)
    _absolute(path)
    for use in uses.split(" "):
        op, _, flags = use.partition(":")
        if not _FLAGS.fullmatch(flags):
            raise ValueError
        draft.accesses.add(Access(path, _OPS[op], flags, head[0], head[1]))


def _read_healed(draft: _Draft, fields: list[str], head: list[str]) -> None:
    path, rule, source, detail, follow = _exactly(fields, 5)
    draft.healed.append(Want(_absolute(path), rule, source, detail, {"follow": True, "nofollow": False}[follow]))


def _exactly(fields: list[str], count: int) -> list[str]:
    if len(fields) != count:
        raise ValueError
    return fields


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise ValueError
    return path


def _number(text: str, base: int = 10) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise ValueError
    return int(text, base)
