"""The text formats of dpkg's database, read: pure, bounded, and silent about garbage.

Sources: deb822(5), dpkg(1) FILES, dpkg-divert(1), update-alternatives(1) and, for the layout of
`/var/lib/dpkg/alternatives`, the "backend storage format" that update-alternatives(1) speaks of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from debloat.debian.packages import Package

ON_DISK = frozenset(
    {"installed", "unpacked", "half-installed", "half-configured", "triggers-awaited", "triggers-pending"}
)
"""States of a package whose files are unpacked (dpkg(1), PACKAGE STATES); `config-files` left its conffiles only."""

MAX_PATH = 4096
"""Longer lines are no paths: PATH_MAX of Linux (limits.h)."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9+.\-]*")
_SOURCE_VERSION = re.compile(r"\(([^()\s]+)\)")
_DIGEST = re.compile(r"[0-9a-f]{32}")
_SPACE = " \t"
_FIELD = re.compile(r"([^#: \t][^: \t]*)[ \t]*:(.*)", re.DOTALL)


def text(data: bytes) -> str:
    """Bytes of a database file as text: names keep bytes that are not UTF-8 as surrogates."""
    return data.decode("utf-8", "surrogateescape")


class Stanza(Struct, frozen=True):
    """A stanza of `status`: its bytes without the blank lines around it, and what it says of a package.

    `conffiles` are pairs of a path and the MD5 digest of the file as it was shipped.
    """

    raw: bytes
    package: Package
    conffiles: tuple[tuple[str, str], ...] = ()


def stanzas(data: bytes) -> tuple[Stanza, ...]:
    """The stanzas of packages that have files in the image, in the order of the file.

    A stanza without Package is dropped; one without Status counts as installed, as in distroless `status.d`.
    """
    found = (_stanza(raw.strip(b"\n")) for raw in data.split(b"\n\n") if b":" in raw)
    return tuple(stanza for stanza in found if stanza is not None)


def _stanza(raw: bytes) -> Stanza | None:
    fields = _fields(raw)
    bare = fields.get("package", "").strip()
    state = fields.get("status", "install ok installed").split()[-1:]
    if not _NAME.fullmatch(bare) or state not in ([s] for s in (*ON_DISK, "config-files")):
        return None
    architecture = fields.get("architecture", "").strip()
    same = fields.get("multi-arch", "").strip() == "same"
    depends = ", ".join(fields[name] for name in ("pre-depends", "depends") if name in fields)
    package = Package(
        name=f"{bare}:{architecture}" if same and architecture else bare,
        package=bare,
        version=fields.get("version", "").strip(),
        architecture=architecture,
        source=(fields.get("source", "").split() or [bare])[0],
        section=fields.get("section", "").strip(),
        priority=fields.get("priority", "").strip(),
        essential=fields.get("essential", "").strip() == "yes",
        depends=relations(depends),
        provides=tuple(name for group in relations(fields.get("provides", "")) for name in group),
        installed=state[0] in ON_DISK,
        source_version="".join(_SOURCE_VERSION.findall(fields.get("source", ""))[:1]),
    )
    return Stanza(raw, package, tuple(_conffile_digests(fields.get("conffiles", ""))))


def _fields(raw: bytes) -> Mapping[str, str]:
    """The fields of a stanza by their names in lower case, which deb822(5) compares without regard to it.

    The last of several of a name counts. A line that is neither a field, a comment nor goes on with one is passed over,
    and nothing is a white space but what deb822(5) calls so: a form feed is a letter of a value, as for dpkg.
    """
    found: dict[str, str] = {}
    name = ""
    for line in text(raw).split("\n"):
        if not line.strip(_SPACE):
            if name:
                break  # the end of the stanza, as an empty line is
        elif line[0] in _SPACE:
            if name:
                found[name] += f"\n{line.rstrip(_SPACE)}"
        elif match := _FIELD.match(line):
            name = match[1].lower()
            found[name] = match[2].strip(_SPACE)
    return found


def relations(field: str) -> tuple[tuple[str, ...], ...]:
    """The bare names in a relationship field, alternatives grouped: `a (>= 1), b | c:any` is ((a,), (b, c))."""
    groups = (
        tuple(m.group() for word in group.split("|") if (m := _NAME.match(word.strip()))) for group in field.split(",")
    )
    return tuple(group for group in groups if group)


def without_conffiles(raw: bytes, stays: Callable[[str], bool]) -> bytes:
    """A stanza whose `Conffiles` name those files only that stay, all other bytes as they were; without any, no field.

    dpkg writes each on a line of its own that begins with a space (deb822(5), dpkg(1)).
    """
    lines = raw.split(b"\n")
    start = next((at for at, line in enumerate(lines) if line.lower().startswith(b"conffiles:")), None)
    if start is None:
        return raw
    end = next((at for at in range(start + 1, len(lines)) if lines[at][:1] not in (b" ", b"\t")), len(lines))
    kept = [line for line in lines[start + 1 : end] if all(stays(path) for path, _ in _conffile_digests(text(line)))]
    head = [lines[start]] if kept or lines[start].partition(b":")[2].strip() else []
    return b"\n".join([*lines[:start], *head, *kept, *lines[end:]])


def _conffile_digests(field: str) -> Iterator[tuple[str, str]]:
    """Pairs of the `Conffiles` field: lines `PATH DIGEST [obsolete] [remove-on-upgrade]`; a path may hold spaces."""
    for line in field.split("\n"):
        words = line.strip().split(" ")
        while words and words[-1] in ("obsolete", "remove-on-upgrade"):
            words.pop()
        if len(words) > 1 and words[0].startswith("/"):
            yield " ".join(words[:-1]), words[-1]


def listed(data: bytes) -> tuple[str, ...]:
    """The paths of an `info/*.list`; the root, written `/.`, is `/`."""
    lines = text(data).split("\n")
    return tuple("/" if line == "/." else line for line in lines if line.startswith("/") and len(line) < MAX_PATH)


def md5sums(data: bytes) -> tuple[tuple[str, str], ...]:
    """Pairs (digest, path with its leading slash) of an `info/*.md5sums`, whose lines are `DIGEST  PATH`."""
    return tuple(
        (line[:32], "/" + line[34:].removeprefix("./").lstrip("/"))
        for line in text(data).split("\n")
        if 34 < len(line) < MAX_PATH and line[32] == " " and line[33] in " *" and _DIGEST.match(line)
    )


def conffiles(data: bytes) -> tuple[str, ...]:
    """The paths of an `info/*.conffiles`, without those that are only to be removed (deb-conffiles(5))."""
    return tuple(line.rstrip() for line in text(data).split("\n") if line.startswith("/") and len(line) < MAX_PATH)


class Diversion(Struct, frozen=True):
    """A file that dpkg puts elsewhere: what any package but `package` ships as `path` is installed as `to`.

    `package` is ":" for a local diversion, which moves the file of every package.
    """

    path: str
    to: str
    package: str


def diversions(data: bytes) -> tuple[Diversion, ...]:
    """The entries of `/var/lib/dpkg/diversions`: three lines each."""
    lines = text(data).split("\n")
    triples = zip(lines[::3], lines[1::3], lines[2::3], strict=False)
    return tuple(Diversion(*t) for t in triples if t[0].startswith("/") and t[1].startswith("/") and t[2])


class Alternative(Struct, frozen=True):
    """A group of `/var/lib/dpkg/alternatives`: its links, and the choices for them.

    `mode` is `auto` or `manual`, `links` are pairs of a name and the link, the master first, `choices` pairs of a
    priority and one path per link ("" where the choice has none for it).
    """

    mode: str
    links: tuple[tuple[str, str], ...]
    choices: tuple[tuple[str, tuple[str, ...]], ...]

    def render(self) -> bytes:
        """The group as a file of the database."""
        (_, master), *slaves = self.links
        lines = [self.mode, master, *(word for pair in slaves for word in pair), ""]
        for priority, (path, *others) in self.choices:
            lines += [path, priority, *others]
        return "\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def alternative(name: str, data: bytes) -> Alternative | None:
    """A file of `/var/lib/dpkg/alternatives`; None where it is none.

    Mode, the link, then pairs of name and link of the slaves up to an empty line; then per choice its path,
    its priority and a path for each slave (empty where the choice has none), up to an empty line.
    """
    lines = text(data).split("\n")
    if len(lines) < 3 or lines[0] not in ("auto", "manual") or not lines[1].startswith("/"):
        return None
    try:
        end = lines.index("", 2)
    except ValueError:
        return None
    links = ((name, lines[1]), *zip(lines[2:end:2], lines[3:end:2], strict=False))
    step = len(links) + 1
    choices: list[tuple[str, tuple[str, ...]]] = []
    for at in range(end + 1, len(lines), step):
        chunk = lines[at : at + step]
        if len(chunk) < step or not chunk[0].startswith("/"):
            break
        choices.append((chunk[1], (chunk[0], *chunk[2:])))
    return Alternative(lines[0], links, tuple(choices))


def by_bare_name(packages: Iterable[Package]) -> dict[str, tuple[str, ...]]:
    """For each bare name, real or virtual, the dpkg names of the installed packages that provide it, sorted."""
    found: dict[str, set[str]] = {}
    for package in packages:
        if package.installed:
            for bare in (package.package, *package.provides):
                found.setdefault(bare, set()).add(package.name)
    return {bare: tuple(sorted(names)) for bare, names in found.items()}
