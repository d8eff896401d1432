"""Credentials that lie in an image: files by name, and by what is written in them. What they hold is never repeated.

An image is passed on with all its layers, so a file that a later layer removes counts as well, and so do the image's
environment and its history. Contents are looked for where an author's files are: not in what Debian's packages brought,
which everybody has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from debloat.anatomy.layers import Buried
from debloat.core.model import Entry, Image
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs
from debloat.rules.application import leftovers

MOST_OF_FILE = 256 << 10
"""Bytes of a file in which is searched: credentials stand in small files, or at the beginning."""
MOST_FILES = 20_000
MOST_BYTES = 256 << 20
"""Bounds of one search, over all files."""
MOST_FOUND = 500

HISTORIES = frozenset(
    {
        *(".bash_history", ".zsh_history", ".ash_history", ".sh_history", ".python_history", ".node_repl_history"),
        *(
            ".mysql_history",
            ".mariadb_history",
            ".psql_history",
            ".rediscli_history",
            ".sqlite_history",
            ".irb_history",
        ),
    }
)
"""Files in which shells and clients keep what was typed: passwords are among it."""

_KEY, _TOKEN, _PASSWORD, _HISTORY = "private key", "access token", "password", "history of what was typed"

PLACES: dict[str, str] = {
    **{name: "credentials" for name, reason in leftovers.NAMES.items() if reason == leftovers.SECRET},
    **dict.fromkeys(("id_rsa", "id_ed25519", "id_ecdsa", "id_dsa"), _KEY),
    **dict.fromkeys(HISTORIES, _HISTORY),
    **dict.fromkeys((".pgpass", ".my.cnf", ".htpasswd"), _PASSWORD),
    **dict.fromkeys((".vault-token", ".terraformrc"), _TOKEN),
}
"""What a file of this name is, wherever it stands: the names that `leftovers` knows, and more."""

ENDS: tuple[tuple[str, str], ...] = (
    ("/.docker/config.json", "credentials"),
    ("/.kube/config", "credentials"),
    ("/.config/gh/hosts.yml", _TOKEN),
    ("/.config/gcloud/application_default_credentials.json", "credentials"),
    ("/.cargo/credentials.toml", _TOKEN),
    ("/.gem/credentials", _TOKEN),
    ("/.config/pip/pip.conf", ""),
    ("/.composer/auth.json", _TOKEN),
)
"""What a file whose path ends so is; an empty word is one that counts only for what is written in it."""

PATTERNS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    (
        _KEY,
        re.compile(rb"-----BEGIN (?:[A-Z0-9]{1,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----\s{0,4}[A-Za-z0-9+/=:\r\n]{24}"),
    ),
    (_TOKEN, re.compile(rb"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b")),
    (_TOKEN, re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40})")),
    (_TOKEN, re.compile(rb"\bglpat-[A-Za-z0-9_-]{20}")),
    (_TOKEN, re.compile(rb"\bxox[abprs]-[A-Za-z0-9-]{20}")),
    (_TOKEN, re.compile(rb"\bnpm_[A-Za-z0-9]{36}\b")),
    (_TOKEN, re.compile(rb"\bpypi-AgE[A-Za-z0-9_-]{30}")),
    (_TOKEN, re.compile(rb"\bAIza[A-Za-z0-9_-]{35}\b")),
    (_TOKEN, re.compile(rb"\b[rs]k_live_[A-Za-z0-9]{20}")),
    (_TOKEN, re.compile(rb"(?m)^\s{0,8}(?://[^\s=]{1,200}:)?_auth(?:Token)?\s{0,4}=\s{0,4}[^\s$]{8}")),
    (
        _PASSWORD,
        re.compile(rb"(?m)^\s{0,8}machine\s{1,8}\S{1,200}\s{1,8}login\s{1,8}\S{1,200}\s{1,8}password\s{1,8}\S"),
    ),
    (_PASSWORD, re.compile(rb"://[A-Za-z0-9._%-]{1,64}:[^\s/@:$<>{}\"']{6,80}@[A-Za-z0-9.-]{3}")),
)
"""What a text holds, and how it is known. Each repetition is bounded: the texts are not trusted."""

_SHADOW = ("/etc/shadow", "/etc/gshadow")
_HASH = re.compile(r"^[^:]+:(\$[^:]{8,}|[A-Za-z0-9./]{13}):")
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:PASS(?:WORD|WD|PHRASE)?|SECRET(?:_KEY)?|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_KEY|CREDENTIALS?)(?:$|_)",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(r"(?<![\w$])([A-Za-z_][A-Za-z0-9_]{2,60})=(?!\$)(\"[^\"]{3,}\"|'[^']{3,}'|[^\s\"'$]{3,})")


class Credential(Struct, frozen=True):
    """Something that should not be in an image.

    `kind` says what it looks like, `where` is a path, `ENV NAME` or `history N` (from 1), `line` a line of it (0 for
    the whole). `note` says what else to know: that only a lower layer has it.
    """

    where: str
    kind: str
    line: int = 0
    note: str = ""


def credentials(
    image: Image, rootfs: Rootfs, packages: Packages, buried: Iterable[Buried] = ()
) -> tuple[Credential, ...]:
    """What is found in an image, sorted; bounded in files, bytes and findings."""
    found = set(_in_files(rootfs, packages)) | set(_in_configuration(image))
    for file in buried:
        if (kind := _by_name(file.path)) and file.size:
            found.add(Credential(file.path, kind, 0, f"in layer {file.layer + 1}, hidden by layer {file.by + 1}"))
    return tuple(sorted(found, key=lambda c: (c.where, c.line, c.kind)))[:MOST_FOUND]


def _by_name(path: str) -> str:
    name = path.rpartition("/")[2]
    if name in PLACES:
        return PLACES[name]
    return next((kind for end, kind in ENDS if kind and path.endswith(end)), "")


def _in_files(rootfs: Rootfs, packages: Packages) -> Iterator[Credential]:
    candidates, size = list[Entry](), 0
    for entry in rootfs.entries():
        if not entry.is_file or not entry.size or packages.owners(entry.path):
            continue
        if entry.path in _SHADOW:
            yield from _hashes(rootfs, entry.path)
        elif kind := _by_name(entry.path):
            yield Credential(entry.path, kind)
        if entry.size <= MOST_OF_FILE and len(candidates) < MOST_FILES and size < MOST_BYTES:
            candidates.append(entry)
            size += entry.size
    rootfs.fetch(entry.path for entry in candidates)
    for entry in candidates:
        for kind, line in in_text(rootfs.read(entry.path, MOST_OF_FILE)):
            yield Credential(entry.path, kind, line)


def in_text(data: bytes) -> Iterator[tuple[str, int]]:
    """The kinds of credentials in a text, each with the line of the first; nothing in what is no text."""
    if b"\0" in data[:4096]:
        return
    known = set[str]()
    for kind, pattern in PATTERNS:
        match = None if kind in known else pattern.search(data)
        if match:
            known.add(kind)
            yield kind, data.count(b"\n", 0, match.start()) + 1


def _hashes(rootfs: Rootfs, path: str) -> Iterator[Credential]:
    """Passwords of accounts: `*` and `!` are none (shadow(5))."""
    for number, line in enumerate(rootfs.text(path).split("\n"), 1):
        if _HASH.match(line):
            yield Credential(path, "hash of a password", number)


def _in_configuration(image: Image) -> Iterator[Credential]:
    for variable, value in image.config.env.items():
        if value and _SECRET_NAME.search(variable):
            yield Credential(f"ENV {variable}", "secret by its name")
    for number, text in enumerate(image.history, 1):
        for variable, _ in _ASSIGNED.findall(text):
            if _SECRET_NAME.search(variable):
                yield Credential(f"history {number}", f"{variable} by its name")
        for kind, _ in in_text(text.encode("utf-8", "surrogateescape")):
            yield Credential(f"history {number}", kind)
