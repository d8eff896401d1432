"""Configuration files of the application: the programs that settings, crontabs and Procfiles run.

A server starts them for a request, a job or an event (`ExtFilterDefine up cmd="/usr/bin/tr a-z A-Z"`,
`archive_command = 'gzip < %p > ...'`, `*/5 * * * * root backup`), and no code that could be read says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.model import Entry, Want
from debloat.rules.cmdline import programs
from debloat.rules.commands import inert, on_path
from debloat.rules.shell import BUILD_TIME, DEPENDENCIES, is_shell

MAX_SETTINGS = 256 << 10
"""Larger files are data."""

SUFFIXES = (
    *(".cf", ".cfg", ".cnf", ".conf", ".config", ".cron", ".env", ".hcl", ".inc", ".ini", ".json", ".properties"),
    *(".rules", ".settings", ".toml", ".vcl", ".xml", ".yaml", ".yml"),
)
NAMES = frozenset({".htaccess", ".forward", ".procmailrc", "aliases", "crontab", "inittab", "Procfile", "Caddyfile"})

NO_SETTINGS = re.compile(
    r"/etc/(?:alternatives|apt|dpkg|init\.d|pam\.d|profile\.d|rc\w\.d|security|skel|ssl|systemd|xdg|X11)/.*"
    r"|/etc/(?:shells|passwd|mailcap|ld\.so\.conf|ca-certificates\.conf|adduser\.conf|deluser\.conf|debconf\.conf).*"
)
"""What the distribution configures, for logins, desktops, packages and an init system that containers do not have."""

_CRONTAB = re.compile(r"/etc/cron\.d/[^/]+|/etc/crontab|/var/spool/cron/.+|.*/[\w.-]*cron(?:tab)?(?:\.txt)?|.*\.cron")
_JOB = re.compile(r"[ \t]*(?:@\w+[ \t]+|(?:[\w*/,-]+[ \t]+){5})(\S.*)")
_PROCESS = re.compile(r"[\w-]+:[ \t]*(\S.*)")
_COMMENT = re.compile(r"[ \t]*(?:[#;!]|//|<!--)")
_PROGRAM = re.compile(r"(?<![\w./$}-])/(?:[\w.+-]+/){1,8}[\w.+-]*[\w+]")
_COMMAND = re.compile(
    r"(?<![^\W_])(?i:command|cmd|exec|execute|executable|program|script|hook|filter|pipe|runner?|job)"
    r"s?(?:[_.-]\w{1,20}|[A-Z]\w{0,20})?[\"']?[ \t]*(?:=>|[=:])[ \t]*(\S[^\n]{0,1000})"
)
_ITEM = re.compile(r"[ \t]*-[ \t]+(\S.*)")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'")


class Settings(Rule):
    """The programs that a configuration file of the application, or one that the image changed, names."""

    name = "settings.program"

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not _is_settings(entry, world):
            return
        source = world.rootfs.read(entry.path)
        if b"\0" in source or is_shell(entry.path, source[:128]):
            return
        seen = set[str]()
        for line, word in words(source.decode("utf-8", "replace"), entry.path):
            path = on_path(world, word)
            if path is not None and path not in seen and path.rpartition("/")[2] not in BUILD_TIME:
                seen.add(path)
                yield self.want(path, entry.path, f"{word}, line {line}")


def _is_settings(entry: Entry, world: World) -> bool:
    path = entry.path
    if not entry.is_file or not 0 < entry.size <= MAX_SETTINGS or entry.executable:
        return False
    known = entry.name in NAMES or _CRONTAB.fullmatch(path) or (entry.name.endswith(SUFFIXES) and entry.name[0] != ".")
    # What lies deeper than /etc/NAME without a suffix is a site, a pool, a job of some server.
    if not known and not (path.startswith("/etc/") and path.count("/") > 2 and "." not in entry.name):
        return False
    if NO_SETTINGS.fullmatch(path) or DEPENDENCIES.search(path) or inert(world, path):
        return False
    return not world.packages.owners(path) or world.packages.modified(path)


def words(text: str, path: str) -> Iterator[tuple[int, str]]:
    """The words of a configuration file that may run programs, with their lines; paths as they are written."""
    cron, processes = _CRONTAB.fullmatch(path) is not None, path.endswith("/Procfile")
    named = False
    for number, line in enumerate(text.split("\n"), 1):
        if _COMMENT.match(line):
            continue
        for found in _PROGRAM.findall(line):
            yield number, found
        for command in _commands(line, cron, processes, named):
            for word in programs(command):
                yield number, word
        # A list below a key: `command:` and then `- sort`.
        named = line.rstrip().endswith(":") and _COMMAND.search(f"{line.rstrip()} -") is not None


def _commands(line: str, cron: bool, processes: bool, named: bool) -> Iterator[str]:
    if cron and (job := _JOB.fullmatch(line)):
        # The crontabs of the system have a user before the command.
        yield from (job[1], job[1].partition(" ")[2])
    elif processes and (process := _PROCESS.fullmatch(line)):
        yield process[1]
    elif named and (item := _ITEM.fullmatch(line)):
        yield _plain(item[1])
    at = 0
    while match := _COMMAND.search(line, at):
        yield _plain(match[1])
        at = match.start(1)


def _plain(value: str) -> str:
    """A value without what its format puts around it: `"a b",` `['a', 'b']` `'a b'  # comment`."""
    value = value.strip()
    if value.startswith(("[", "(")):
        return " ".join(double or single for double, single in _QUOTED.findall(value))
    quoted = _QUOTED.match(value)
    if quoted is None:
        return re.split(r"[ \t][#;]|<", value, maxsplit=1)[0].rstrip(",;")
    return quoted[1].replace('\\"', '"') if quoted[1] is not None else quoted[2]


RULES: tuple[Rule, ...] = (Settings(),)
