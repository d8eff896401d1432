"""What a command line asks a package manager for: those of Debian, Python, Node and Ruby."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from debloat.rules.languages.python.requirements import requested
from debloat.rules.languages.shell.evaluate import NON_READERS, UNKNOWN
from debloat.rules.languages.shell.wrappers import names

MAX_WORD = 1024
"""Characters of a name with all that is written behind it; longer words name nothing."""


class Change(Struct, frozen=True):
    """What one command line does to packages.

    `manager` is `apt` (whoever drives dpkg), `pip`, `npm` or `gem`. `installed` and `removed` are names as that manager
    writes them (pip's normalised), sorted; those of apt may be patterns, as apt-get(8) takes them, and those of gem.
    """

    manager: str
    installed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class _Tool(Struct, frozen=True):
    """A program that installs packages: its commands, its options that take a value, how it writes a package.

    `scopes` are words that come before the command (`uv pip install`); `flags` are options of which one must be there.
    Without commands, every operand is to be installed.
    """

    manager: str
    name: Callable[[str], str]
    installs: frozenset[str] = frozenset()
    removes: frozenset[str] = frozenset()
    short: str = ""
    long: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()


_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+", re.ASCII)
"""A package name (Debian policy 5.6.1)."""
_PATTERN = re.compile(r"[a-z0-9*?\[][a-z0-9+.*?\[\]-]*", re.ASCII)
_WILD = frozenset("*?[")
_NPM = re.compile(r"(@[\w.~-]+/)?[\w.~-]+")
_GEM = re.compile(r"[\w.-]+")


def _debian(word: str) -> str:
    """A package's bare name: without architecture, version, release; of a file, as dpkg-name(1) writes it."""
    if word.endswith(".deb"):
        name = posixpath.basename(word).removesuffix(".deb").partition("_")[0]
        return name if _PACKAGE.fullmatch(name) else ""
    if word.startswith(("/", ".", "~", "?")):
        return ""
    name = re.split(r"[:=/]", word, maxsplit=1)[0]
    return name if _PATTERN.fullmatch(name) else ""


def _npm(word: str) -> str:
    """A package's name without version or tag; none of paths and of repositories."""
    at = word.find("@", 1)
    name, version = (word[:at], word[at + 1 :]) if at > 0 else (word, "")
    if version.startswith("npm:"):
        return _npm(version[4:])
    path = word.startswith((".", "/", "~")) or word.endswith((".tgz", ".tar.gz"))
    return name if _NPM.fullmatch(name) and not path else ""


def _gem(word: str) -> str:
    """A gem's name without version; of archives whose names the shell makes up, a pattern."""
    if word.endswith(".gem"):
        stem = posixpath.basename(word).removesuffix(".gem")
        file = re.fullmatch(r"(.+?)-\d.*", stem)
        return file[1] if file else f"{stem.partition('-*')[0].rstrip('*')}*" if is_pattern(stem) else ""
    name = word.partition(":")[0]
    return name if _GEM.fullmatch(name) else ""


_APT = _Tool(
    "apt",
    _debian,
    names("install reinstall"),
    names("remove purge autoremove autopurge"),
    "tocaP",
    names(
        "--target-release --default-release --option --config-file --host-architecture --build-profiles --solver "
        "--planner --audit-level"
    ),
)
_PIP = _Tool(
    "pip",
    requested,
    names("install"),
    names("uninstall"),
    "rceiftdC",
    names(
        "--requirement --constraint --editable --index-url --extra-index-url --find-links --target --prefix --root "
        "--src --python --platform --python-version --implementation --abi --no-binary --only-binary --progress-bar "
        "--global-option --config-settings --config-setting --report --trusted-host --cache-dir --proxy --timeout "
        "--retries --cert --client-cert --log --exists-action --upgrade-strategy --root-user-action --use-feature "
        "--use-deprecated --keyring-provider --build-option --group --index --default-index --index-strategy "
        "--refresh-package --reinstall-package --upgrade-package --link-mode --with --directory --project "
        "--requirements --constraints"
    ),
    projects=names("-e --editable --with"),
)
_GLOBAL = names("-g --global --location=global")

TOOLS: dict[str, _Tool] = {
    # Each from its own manual page.
    "apt": _APT,
    "apt-get": _APT,
    "aptitude": _Tool(
        "apt",
        _debian,
        names("install reinstall"),
        names("remove purge"),
        "towFOS",
        names("--target-release --default-release --width --display-format --sort --user-tag --add-user-tag"),
    ),
    "apt-mark": _Tool("apt", _debian, names("manual unmarkauto"), short="of", long=names("--option --file")),
    "dpkg": _Tool(
        "apt", _debian, names("-i --install"), names("-r --remove -P --purge"), long=names("--root --admindir")
    ),
    "gdebi": _Tool("apt", _debian, short="o", long=names("--option --apt-line --root")),
    "install_packages": _Tool("apt", _debian),
    "pip": _PIP,
    "uv": replace(_PIP, scopes=names("pip tool")),
    "pipx": _PIP,
    "npm": _Tool(
        "npm",
        _npm,
        names("install i add in ins inst insta instal isnt isnta isntal isntall"),
        names("uninstall un r rm remove unlink"),
        "Cw",
        names("--prefix --registry --loglevel --cache --omit --include --tag --workspace --userconfig --location"),
        flags=_GLOBAL,
    ),
    "pnpm": _Tool("npm", _npm, names("install i add"), names("remove rm uninstall un"), "C", flags=_GLOBAL),
    "yarn": _Tool("npm", _npm, names("add"), names("remove"), scopes=names("global")),
    "gem": _Tool(
        "gem",
        _gem,
        names("install i"),
        names("uninstall"),
        "vinsPBmpu",
        names(
            "--version --install-dir --bindir --document --platform --source --trust-policy --build-root --http-proxy "
            "--file --without --target-rbconfig"
        ),
    ),
}

_PYTHONS = re.compile(r"(?:python|pypy)[\d.]*")
_PIPS = re.compile(r"pip[\d.]*")


def changes(argv: Sequence[str]) -> Iterator[Change]:
    """What an argument vector does to packages: at most one change, of the package manager that it runs.

    The manager may stand behind words that the shell grammar knows no wrapper in: `eatmydata`, a function that retries.
    """
    position = next((n for n, word in enumerate(argv) if _tool(word) is not None), None)
    if position is None or posixpath.basename(argv[0]) in NON_READERS:
        return
    tool = _tool(argv[position])
    args = argv[position + 1 :]
    if _PYTHONS.fullmatch(posixpath.basename(argv[position])):
        tool, args = _tool(args[1]) if tuple(args[:1]) == ("-m",) and len(args) > 1 else None, args[2:]
    if tool is None:
        return
    verb, operands = _operands(tool, args)
    change = _change(tool, verb, operands)
    if change.installed or change.removed:
        yield change


def _tool(word: str) -> _Tool | None:
    name = posixpath.basename(word)
    if _PYTHONS.fullmatch(name) or _PIPS.fullmatch(name):
        return _PIP
    return TOOLS.get(name)


def _operands(tool: _Tool, args: Iterable[str]) -> tuple[str, list[str]]:
    """The command, and what is left without options and their values; "" where a condition of the tool is not met."""
    verb, operands, flags = "" if tool.installs else "install", list[str](), set[str]()
    verbs = tool.installs | tool.removes
    remaining = list(args)
    while remaining:
        word = remaining.pop(0)
        if word.startswith("-") and len(word) > 1:
            flags.add(word)
            if word in verbs:
                verb = verb or word
            elif _takes_value(tool, word) and remaining:
                value = remaining.pop(0)
                if word in tool.projects:
                    operands.append(value)
        elif verb or word not in verbs | tool.scopes:
            # Another command: what follows is none of ours.
            if not verb:
                return "", []
            operands.append(word)
        elif word in tool.scopes:
            flags.add(word)
        else:
            verb = word
    needed = tool.scopes | tool.flags
    return ("", []) if needed and needed.isdisjoint(flags) else (verb, operands)


def _takes_value(tool: _Tool, option: str) -> bool:
    """Whether the next word is the value of an option (getopt(3)): the last letter of a group may take one."""
    if option.startswith("--"):
        return option in tool.long
    for number, letter in enumerate(option[1:], 2):
        if not letter.isalnum():
            return False
        if letter in tool.short:
            return number == len(option)
    return False


def _change(tool: _Tool, verb: str, operands: Iterable[str]) -> Change:
    installed, removed = set[str](), set[str]()
    for operand in operands:
        if UNKNOWN in operand or len(operand) > MAX_WORD:
            continue
        # apt-get(8): a minus behind a name removes the package.
        taken_off = tool.manager == "apt" and operand.endswith("-")
        name = tool.name(operand.rstrip("-") if taken_off else operand)
        if name and (verb in tool.removes or taken_off):
            removed.add(name)
        elif name and verb:
            installed.add(name)
    return Change(tool.manager, tuple(sorted(installed)), tuple(sorted(removed)))


def is_pattern(name: str) -> bool:
    """Whether a name of `Change` stands for whatever it matches, as sh(1) writes patterns."""
    return not _WILD.isdisjoint(name)


def matching(pattern: str, packages: Iterable[str]) -> Iterator[str]:
    """The packages that a name of `Change` stands for: itself, or what a pattern matches."""
    if _PACKAGE.fullmatch(pattern):
        yield pattern
    else:
        yield from fnmatch.filter(packages, pattern[:100])
