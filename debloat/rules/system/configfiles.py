"""What configuration names: the programs and files that a service is to use.

`extend x /opt/check`, `ExtFilterDefine up cmd="/usr/bin/tr a-z A-Z"`, `archive_command = 'gzip < %p > x'`: a service
starts or opens these when the time comes, which need not be while it is recorded. Formats differ, but a path is a
path in all of them, and a setting that runs something says so in its name. Only the image's own configuration is read:
written by the Dockerfile, or changed from what a package shipped. What a package ships as it is names examples and all
that could be installed.

Tables of jobs (crontab(5), logrotate(8)) are lines of shell, whoever shipped them; a package's job reaches no further
than what the package may assume.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World, derived
from debloat.core.model import Entry, Level, Want
from debloat.rules import languages
from debloat.rules.application.survey import survey
from debloat.rules.cmdline import programs
from debloat.rules.commands import is_template, on_path, reachable_program
from debloat.rules.knowledge.plugins import SHARED_DIRECTORY
from debloat.rules.language import TEXT
from debloat.rules.languages.shell.rules import DEPENDENCIES, is_shell
from debloat.rules.programs import BUILD_TIME
from debloat.selector import FILES, Selector

MAX_SIZE = 256 << 10
"""Larger files are data."""
MAX_NAMED = 500
"""A file that names more paths is a list of files, not a configuration."""

SUFFIXES = (
    *(".cf", ".cfg", ".cnf", ".conf", ".config", ".cron", ".env", ".hcl", ".inc", ".ini", ".json", ".ldif"),
    *(suffix for language in languages.known() for suffix in language.configures),
    *(".properties", ".rc", ".rules", ".service", ".settings", ".tab", ".toml", ".vcl", ".xml", ".yaml", ".yml"),
)
NAMES = frozenset({".htaccess", ".forward", ".procmailrc", "aliases", "crontab", "inittab", "Procfile", "Caddyfile"})
"""Names of configuration outside of /etc, where everything is."""

CONFIGURATION = Selector(FILES, names=NAMES, endings=SUFFIXES, within=("/etc/",))
"""What may be configuration."""

EXCLUDED = re.compile(
    r"/etc/(?:alternatives|apt|dpkg|init\.d|pam\.d|profile\.d|rc\w\.d|security|skel|ssl|systemd|xdg|X11)/.*"
    r"|/etc/(?:shells|passwd|mailcap|ld\.so\.conf|ca-certificates\.conf|adduser\.conf|deluser\.conf|debconf\.conf).*"
)
"""What is for logins, desktops, packages and an init system that containers do not have, or has a rule of its own."""

_PATH = re.compile(r"(?<![\w./~$})%-])(/[\w+@:.,=/-]*[\w+@=/-])")
_COMMENT = re.compile(r"\s*(?:[#;!]|//|--|<!--)")
_COMMAND = re.compile(
    r"(?<![^\W_])(?i:command|cmd|exec|execute|executable|program|script|hook|filter|pipe|run(?:ner)?|job|start|stop)"
    r"s?(?:[_.-]\w{1,20}|[A-Z]\w{0,20})?[\"']?[ \t]*(?:=>|:=|[=:])[ \t]*(\S[^\n]{0,1000})"
)
"""A setting whose value is a command line, by its name: `command=`, `ExecStart=`, `exec:`, `"on_upload_cmd": `."""
_DIRECTIVE = re.compile(
    r"[ \t]*(?:[\w.-]*(?:command|cmd|script)|exec\w*|program|run|start|stop)[ \t]+(\S.*)", re.IGNORECASE
)
"""The same where nothing but space stands between name and value."""
_ITEM = re.compile(r"[ \t]*-[ \t]+(\S.*)")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'")
_PROCESS = re.compile(r"[\w-]+:[ \t]*(\S.*)")

_DASH_C = re.compile(
    rf"[\"']-\w{{0,4}}c[\"']\s{{0,99}}(?:,|\}}\s{{0,99}},\s{{0,99}}\{{[^{{}}]{{0,200}}:)\s{{0,99}}{TEXT}"
)
"""A shell's line in a list of arguments, or in a list of objects that each hold one."""
_DASH_C_ITEMS = re.compile(r"^[ \t]*-[ \t]+[\"']?-\w{0,4}c[\"']?[ \t]*\n[ \t]*-[ \t]+([^\s|>].*)", re.MULTILINE)
_SCALAR = re.compile(
    r"^([ ]*)(?:- +)?[\w.-]*(?:command|cmd|exec|script|run|hook|job|start|stop|args)s?: +[|>][+-]?\d?[ ]*\n"
    r"((?:\1[ ]+.*\n|[ ]*\n){1,200})",
    re.MULTILINE,
)
"""A script in a block of YAML (YAML 1.2, 8.1)."""

GIT = re.compile(r".*/(?:\.?gitconfig|\.git/config|git/config)")
_GIT_COMMAND = re.compile(
    r"\s*(clean|smudge|process|textconv|driver|external|command|cmd|sshcommand|program|helper|editor|pager|packobjectshook)"
    r"\s*=\s*(\S.*)",
    re.IGNORECASE,
)
"""Variables of git-config(1) and gitattributes(5) that hold command lines."""

_CRONTAB = re.compile(r"/etc/crontab|/etc/cron\.d/[\w-]+|/var/spool/cron/(?:crontabs/)?[^/]+")
_OWN_CRONTAB = re.compile(r".*/[\w.-]*cron(?:tab)?(?:\.txt)?|.*\.cron")
_JOB = re.compile(r"\s*(?:@\w+|(?:[\w*/,-]+\s+){4}[\w*/,-]+)\s+(.+)")
_LOGROTATE = re.compile(r"/etc/logrotate\.(?:conf|d/[^/]+)")
_BLOCK = re.compile(
    r"^\s*(?:postrotate|prerotate|firstaction|lastaction|preremove)\s*$(.*?)^\s*endscript\b", re.MULTILINE | re.DOTALL
)


class ConfigNames(Rule):
    """Paths and command lines in the image's own configuration."""

    name = "config.names"
    level = Level.SAFE
    selector = CONFIGURATION

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not is_configuration(entry, world):
            return
        text = world.rootfs.text(entry.path)
        if "\0" in text or is_shell(entry.path, text[:512].encode("utf-8", "surrogateescape")):
            return
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if not _COMMENT.match(line)]
        named = {path: number for number, line in reversed(lines) for path in _PATH.findall(line)}
        for path, number in named.items() if len(named) <= MAX_NAMED else ():
            if _may_follow(path, world):
                yield self.want(path, entry.path, f"named in line {number}")
        if entry.name == "Procfile":
            words = processes(lines)
        elif GIT.fullmatch(entry.path):
            words = git_commands(lines)
        else:
            words = itertools.chain(commands(lines), shell_lines(text))
        for word, number in {word: number for number, word in words}.items():
            program = on_path(world, word)
            if program is not None and program.rpartition("/")[2] not in BUILD_TIME:
                yield self.want(program, entry.path, f"{word}, line {number}")


class Jobs(Rule):
    """The programs of crontabs and of logrotate's scripts."""

    name = "config.jobs"
    level = Level.SAFE
    selector = Selector(
        FILES,
        names=("logrotate.conf",),
        endings=("cron", "crontab", "cron.txt", "crontab.txt"),
        within=("/cron.d/", "/spool/cron/", "/logrotate.d/"),
    )

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.size > MAX_SIZE or is_template(world, entry.path):
            return
        for word in dict.fromkeys(word for line in self._lines(entry, world) for word in programs(line)):
            if (path := reachable_program(world, word, entry.path)) is not None:
                yield self.want(path, entry.path, word)

    @staticmethod
    def _lines(entry: Entry, world: World) -> Iterator[str]:
        if _CRONTAB.fullmatch(entry.path):
            yield from jobs(world.rootfs.text(entry.path), with_user=not entry.path.startswith("/var/"))
        elif _LOGROTATE.fullmatch(entry.path):
            yield from _BLOCK.findall(world.rootfs.text(entry.path))
        elif _OWN_CRONTAB.fullmatch(entry.path) and not entry.executable and entry.path in _own_files(world):
            # The Dockerfile or the entrypoint installs it: for a user, or for the system, with users in it.
            for with_user in (False, True):
                yield from jobs(world.rootfs.text(entry.path), with_user=with_user)


def jobs(text: str, *, with_user: bool) -> Iterator[str]:
    """The command lines of a crontab(5); a system's has the user before each. What follows `%` is their input."""
    for line in text.splitlines():
        match = None if line.lstrip().startswith("#") else _JOB.match(line)
        if match is not None:
            words = match[1].split(None, 1)
            command = match[1] if not with_user else words[1] if len(words) > 1 else ""
            yield re.split(r"(?<!\\)%", command)[0]


def processes(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The words that run programs in a Procfile, with their lines."""
    for number, line in lines:
        if match := _PROCESS.fullmatch(line):
            yield from ((number, word) for word in programs(match[1]))


def commands(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The words that run programs in the values of settings that run something, with their lines."""
    listed = False
    for number, line in lines:
        for value in _values(line, listed):
            yield from ((number, word) for word in programs(plain(value)))
        # A list below a key: `command:` and then `- sort`.
        listed = line.rstrip().endswith(":") and _COMMAND.search(f"{line.rstrip()} -") is not None


def git_commands(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The words that run programs in a git-config(1), with their lines; `helper = x` runs git-credential-x."""
    for number, line in lines:
        if match := _GIT_COMMAND.fullmatch(line):
            value = plain(match[2])
            yield from ((number, word) for word in programs(value.removeprefix("!")))
            if match[1].lower() == "helper" and value[:1] not in ("!", "/"):
                yield number, f"git-credential-{value.partition(' ')[0]}"


def shell_lines(text: str) -> Iterator[tuple[int, str]]:
    """The words that run programs in what a shell is given, with their lines: `["-c", "a | b"]` and YAML's blocks."""
    for pattern in (_DASH_C, _DASH_C_ITEMS, _SCALAR):
        for match in pattern.finditer(text):
            number = text.count("\n", 0, match.start()) + 1
            line = match[2] if pattern is _SCALAR else next(group for group in match.groups() if group is not None)
            if pattern is _DASH_C_ITEMS:
                line = plain(line)
            elif pattern is _DASH_C:
                line = re.sub(r"\\([\"'\\])", r"\1", line)
            yield from ((number, word) for word in programs(textwrap.dedent(line)))


def _values(line: str, listed: bool) -> Iterator[str]:
    if listed and (item := _ITEM.fullmatch(line)):
        yield item[1]
    if directive := _DIRECTIVE.match(line):
        yield directive[1]
    at = 0
    while match := _COMMAND.search(line, at):
        yield match[1]
        at = match.start(1)


def plain(value: str) -> str:
    """A value without what its format puts around it: `"a b",` `['a', 'b']` `'a b'  # comment`."""
    value = value.strip()
    if value.startswith(("[", "(")):
        return " ".join(double or single for double, single in _QUOTED.findall(value))
    quoted = _QUOTED.match(value)
    if quoted is None:
        return re.split(r"[ \t][#;]|<", value, maxsplit=1)[0].rstrip(",;")
    return quoted[1].replace('\\"', '"') if quoted[1] is not None else quoted[2]


def is_configuration(entry: Entry, world: World) -> bool:
    """Whether a file is the image's own configuration, by its place or its name."""
    path = entry.path
    if not entry.is_file or not 0 < entry.size <= MAX_SIZE or entry.executable:
        return False
    if not (
        path.startswith("/etc/") or entry.name in NAMES or (entry.name.endswith(SUFFIXES) and entry.name[0] != ".")
    ):
        return False
    return path in _own_files(world) and not EXCLUDED.fullmatch(path) and not DEPENDENCIES.search(path)


def _may_follow(path: str, world: World) -> bool:
    """Whether a named path is a file, and not a tool of the build; or a link to one."""
    if path.count("/") < 2 or path.rpartition("/")[2] in BUILD_TIME or SHARED_DIRECTORY.fullmatch(path):
        return False
    return world.rootfs.is_file(path)


@derived
def _own_files(world: World) -> frozenset[str]:
    """Real paths of the image's own files: the application's, and the data and changed configuration of packages."""
    surveyed = survey(world)
    data = (path for first, others in surveyed.data.items() for path in (first, *others))
    followers = (path for paths in surveyed.followers.values() for path in paths)
    return frozenset((*surveyed.files, *data, *followers))


RULES: tuple[Rule, ...] = (ConfigNames(), Jobs())
