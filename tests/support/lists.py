"""What Debian's releases have of the paths in rules; `python -m tests.support.lists` writes tests/data/lists.

For each pattern of a family, and of the other rules that hold paths, the first file that matches it is taken out of the
lists of the packages that tests/data names for it. What matches nothing is printed, and what seems to have moved from
one release to the next. The archive's own indexes of contents are read (90 MB a release), so it is run by hand: `make
lists`. `--look` prints only, and takes further suites such as sid.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import re
import tomllib
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debloat.core.globs import glob_regex
from debloat.debian import documentation
from debloat.rules.knowledge.families import all_families, canonical
from debloat.rules.languages.java import rules as java
from debloat.rules.languages.node import packages as node
from debloat.rules.languages.perl import packages as perl
from debloat.rules.languages.php import packages as php
from debloat.rules.languages.php import rules as php_rules
from debloat.rules.languages.python import stdlib
from debloat.rules.languages.ruby import packages as ruby
from debloat.rules.system import glibc, pam
from tests.support.archive import ARCHITECTURE, RELEASES, mirror, names_in
from tests.support.network import CACHE

DATA = Path(__file__).parents[1] / "data"
LISTS = DATA / "lists"
MULTIARCH = "x86_64-linux-gnu"

Files = Mapping[str, Iterable[str]]
"""Paths, /usr merged, by package."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of a rule: which rule, as what, its text there, and what it matches."""

    rule: str
    role: str
    text: str
    regex: re.Pattern[str]

    def __str__(self) -> str:
        return f"{self.rule} {self.role} {self.text}"


def patterns() -> Iterator[Pattern]:
    """All patterns of families, in their order, then those of other rules that hold paths of the distribution."""
    for family in all_families():
        for role in ("when", "excluded", "exists", "unless", "where", "keep", "less"):
            for text in getattr(family, role):
                yield Pattern(family.name, role, text, _matches(_filled(text)))
    for rule, texts in OTHERS.items():
        for text in texts:
            regex = text if isinstance(text, re.Pattern) else _matches(text)
            yield Pattern(rule, "path", text if isinstance(text, str) else text.pattern, regex)


def _filled(text: str) -> str:
    """A family's glob with each variable replaced by what it may stand for."""
    text = text.replace("${multiarch}", MULTIARCH).replace("${dir}", "/**")
    return re.sub(r"\$\{\w+\}", "*", text)


def _matches(glob: str) -> re.Pattern[str]:
    """What a glob names, and all below it: an index of contents has no directories."""
    return re.compile(f"{glob_regex(glob.rstrip('/')).pattern}(?:/.*)?", re.DOTALL)


def _distribution(paths: Iterable[str]) -> tuple[str, ...]:
    """Those of paths that are the distribution's, as they are where /usr is merged."""
    return tuple(p for p in paths if p.startswith(("/usr/", "/etc/", "/var/lib/")) and not p.startswith("/usr/local/"))


OTHERS: Mapping[str, tuple[str | re.Pattern[str], ...]] = {
    "documentation": _distribution(documentation.TREES),
    "glibc.databases": _distribution(p for paths in glibc.DATABASES.values() for p in paths),
    "java.jni": _distribution(java.JNI),
    "node.modules": tuple(p for p in node.DEBIAN if f"/{MULTIARCH}/" in p or "linux-gnu" not in p),
    "pam.helpers": _distribution(p for paths in pam.HELPERS.values() for p in paths),
    "pam.modules": _distribution(pam.MODULES),
    "perl.inc": _distribution(perl.INC),
    "php.extensions": _distribution((*php.EXTENSION_DIRS, *php.INCLUDE_PATH)),
    "php.sapis": tuple(regex for regex, _ in php_rules.SAPIS),
    "python.data": _distribution(stdlib.DATA),
    "ruby.gems": _distribution(ruby.GEM_PATH),
    "ruby.load-path": _distribution(ruby.LOAD_PATH),
}
"""Patterns of rules other than the families, by a name of theirs."""


@functools.cache
def described() -> Mapping[str, Any]:
    """tests/data/lists.toml: `packages` by rule, and what is `absent` where and why."""
    return tomllib.loads((DATA / "lists.toml").read_text("utf-8"))


@functools.cache
def packages_of(release: str) -> Mapping[str, tuple[str, ...]]:
    """The packages of a release whose files each rule speaks of, sorted."""
    named: dict[str, set[str]] = defaultdict(set)
    for case in tomllib.loads((DATA / "families.toml").read_text("utf-8"))["case"]:
        named[case["family"]] |= {*case["packages"], *case.get("also", ())}
    for rule, packages in described()["packages"].items():
        named[rule] |= set(packages)
    return {rule: tuple(sorted({n for p in names for n in names_in(release, p)})) for rule, names in named.items()}


def found(pattern: Pattern, release: str, files: Files) -> tuple[str, str] | None:
    """The first of its packages, and of their paths, that a pattern matches."""
    for package in packages_of(release)[pattern.rule]:
        for path in files.get(package, ()):
            if pattern.regex.fullmatch(path):
                return package, path
    return None


def stored(release: str) -> Files:
    """The paths that tests/data/lists has of a release."""
    paths: dict[str, list[str]] = defaultdict(list)
    for line in (LISTS / f"{release}.txt").read_text("utf-8").splitlines():
        package, path = line.split(" ", 1)
        paths[package].append(path)
    return paths


def contents(release: str) -> Files:
    """The files of the packages that rules speak of, out of the archive's indexes (repository format, Contents)."""
    wanted = {name for names in packages_of(release).values() for name in names}
    paths: dict[str, list[str]] = defaultdict(list)
    for architecture in (ARCHITECTURE, "all"):
        with gzip.open(_index(release, architecture), "rt", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                path, _, owners = line.rstrip("\n").rpartition(" ")
                for owner in owners.split(","):
                    if (name := owner.rpartition("/")[2]) in wanted:
                        paths[name].append(canonical(f"/{path.rstrip()}"))
    if missing := sorted(wanted - paths.keys()):
        raise SystemExit(f"{release} has no package called {', '.join(missing)}: see tests/data/releases.toml")
    return {name: sorted(found) for name, found in paths.items()}


def _index(release: str, architecture: str) -> Path:
    path = CACHE / "contents" / f"{release}-{architecture}.gz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        urllib.request.urlretrieve(f"{mirror().rstrip('/')}/dists/{release}/main/Contents-{architecture}.gz", partial)
        partial.rename(path)
    return path


def unmatched(release: str, files: Files) -> list[Pattern]:
    """The patterns that match none of their packages' files."""
    return [pattern for pattern in patterns() if found(pattern, release, files) is None]


def moved(by_release: Mapping[str, Files]) -> Iterator[str]:
    """Files that a family's patterns match in one release, and not where another has a file of that name."""
    members: dict[str, list[re.Pattern[str]]] = defaultdict(list)
    for pattern in patterns():
        if pattern.role in ("keep", "less"):
            members[pattern.rule].append(pattern.regex)
    for family, regexes in members.items():
        split = {release: _split(release, family, regexes, files) for release, files in by_release.items()}
        names = {path.rpartition("/")[2] for matched, _ in split.values() for path in matched}
        for release, (matched, others) in split.items():
            lost = names - {path.rpartition("/")[2] for path in matched}
            paths = [path for path in others if path.rpartition("/")[2] in lost]
            if paths:
                yield f"{release}: {family} has elsewhere {paths[0]}, and {len(paths) - 1} more"


def _split(release: str, family: str, regexes: list[re.Pattern[str]], files: Files) -> tuple[list[str], list[str]]:
    """The files of a family's packages that its patterns match, and those that they do not."""
    paths = [path for package in packages_of(release)[family] for path in files.get(package, ())]
    matched = [path for path in paths if any(regex.fullmatch(path) for regex in regexes)]
    known_paths = set(matched)
    return matched, [p for p in paths if p not in known_paths and not documentation.is_documentation(p)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.lists")
    parser.add_argument("release", nargs="*", help=f"default: {' '.join(RELEASES)}")
    parser.add_argument("--look", action="store_true", help="print what matches nothing, and write nothing")
    given = parser.parse_args()
    by_release = {release: contents(release) for release in given.release or RELEASES}
    for line in moved(by_release):
        print(line)
    for release, files in by_release.items():
        for pattern in unmatched(release, files):
            print(f"{release}: nothing matches {pattern}")
        if not given.look:
            lines = sorted({match for pattern in patterns() if (match := found(pattern, release, files))})
            LISTS.mkdir(exist_ok=True)
            (LISTS / f"{release}.txt").write_text("".join(f"{package} {path}\n" for package, path in lines))


if __name__ == "__main__":
    main()
