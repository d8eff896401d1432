"""What configuration names: the programs and files that a service is told about.

`extend x /opt/check`, `auth_param basic program /usr/lib/squid/basic_ncsa_auth`, `command=redis-server`: a service
starts or opens these when the time comes, which need not be while it is recorded. Formats differ, but a path is a
path in all of them. Only the image's own configuration is read: written by the Dockerfile, or changed from what a
package shipped. What a package ships as it is names examples and all that could be installed.

Tables of jobs (crontab(5), logrotate(8)) are lines of shell, whoever shipped them; a package's job reaches no further
than the package's circle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.model import Entry, Level, Want
from debloat.rules.application import survey
from debloat.rules.cmdline import programs
from debloat.rules.commands import inert, on_path, reached
from debloat.rules.plugins import SHARED
from debloat.rules.shell import BUILD_TIME

MAX_SIZE = 256 << 10
MAX_NAMED = 500
"""A file that names more paths is a list of files, not a configuration."""

SUFFIXES = (
    *(".conf", ".cfg", ".cf", ".cnf", ".ini", ".yaml", ".yml", ".toml", ".json", ".xml", ".properties", ".rc"),
    *(".service", ".env", ".lua", ".vcl", ".config", ".ldif", ".tab"),
)
"""Names of configuration outside of /etc, where everything is."""

_PATH = re.compile(r"(?<![\w./~$})%-])(/[\w+@:.,=/-]*[\w+@=/-])")
_COMMENT = re.compile(r"\s*(?:[#;!]|//|--|<!--)")
_COMMAND = re.compile(
    r"\s*[\"']?(?:[\w.-]*(?:command|cmd|script)|exec\w*|program|run|start|stop)[\"']?\s*(?::=|=|:|\s)\s*(.+)",
    re.IGNORECASE,
)
"""A setting whose value is a command line, by its name: `command=`, `ExecStart=`, `exec:`, `archive_command=`."""

_CRONTAB = re.compile(r"/etc/crontab|/etc/cron\.d/[\w-]+|/var/spool/cron/(?:crontabs/)?[^/]+")
_JOB = re.compile(r"\s*(?:@\w+|(?:[\w*/,-]+\s+){4}[\w*/,-]+)\s+(.+)")
_LOGROTATE = re.compile(r"/etc/logrotate\.(?:conf|d/[^/]+)")
_BLOCK = re.compile(
    r"^\s*(?:postrotate|prerotate|firstaction|lastaction|preremove)\s*$(.*?)^\s*endscript\b", re.MULTILINE | re.DOTALL
)


class ConfigNames(Rule):
    """Paths and command lines in the image's own configuration."""

    name = "config.names"
    level = Level.SAFE

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not _is_configuration(entry) or entry.path not in world.derived(_own):
            return
        text = world.rootfs.text(entry.path)
        if "\0" in text:
            return
        lines = [line for line in text.splitlines() if not _COMMENT.match(line)]
        named = dict.fromkeys(path for line in lines for path in _PATH.findall(line))
        for path in named if len(named) <= MAX_NAMED else ():
            if _may_follow(path, world):
                yield self.want(path, entry.path, "named there")
        for line in lines:
            if match := _COMMAND.match(line):
                for word in commands(match[1]):
                    if (found := on_path(world, word)) is not None and found.rpartition("/")[2] not in BUILD_TIME:
                        yield self.want(found, entry.path, word)


class Jobs(Rule):
    """The programs of crontabs and of logrotate's scripts."""

    name = "config.jobs"
    level = Level.SAFE

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.is_file or entry.size > MAX_SIZE or inert(world, entry.path):
            return
        if _CRONTAB.fullmatch(entry.path):
            system = not entry.path.startswith("/var/")
            lines = tuple(jobs(world.rootfs.text(entry.path), with_user=system))
        elif _LOGROTATE.fullmatch(entry.path):
            lines = tuple(_BLOCK.findall(world.rootfs.text(entry.path)))
        else:
            return
        for word in dict.fromkeys(word for line in lines for word in programs(line)):
            if (path := reached(world, word, entry.path)) is not None:
                yield self.want(path, entry.path, word)


def jobs(text: str, *, with_user: bool) -> Iterator[str]:
    """The command lines of a crontab(5); a system's has the user before each. What follows `%` is their input."""
    for line in text.splitlines():
        match = None if line.lstrip().startswith("#") else _JOB.match(line)
        if match is not None:
            words = match[1].split(None, 1)
            command = match[1] if not with_user else words[1] if len(words) > 1 else ""
            yield re.split(r"(?<!\\)%", command)[0]


def commands(value: str) -> tuple[str, ...]:
    """The words of a setting's value that run programs, quotes of the format around it taken off."""
    value = value.strip().rstrip(",;").strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return programs(value)


def _is_configuration(entry: Entry) -> bool:
    where = entry.path.startswith("/etc/") or entry.name.endswith(SUFFIXES)
    return entry.is_file and 0 < entry.size <= MAX_SIZE and where


def _may_follow(path: str, world: World) -> bool:
    """Whether a named path is a file, and not a tool of the build; or a link to one."""
    if path.count("/") < 2 or path.rpartition("/")[2] in BUILD_TIME or SHARED.fullmatch(path):
        return False
    return world.rootfs.is_file(path)


def _own(world: World) -> frozenset[str]:
    """Real paths of the image's own files: the application's, and the data and changed configuration of packages."""
    found = world.derived(survey)
    data = (path for first, others in found.data.items() for path in (first, *others))
    followers = (path for paths in found.followers.values() for path in paths)
    return frozenset((*found.files, *data, *followers))


RULES: tuple[Rule, ...] = (ConfigNames(), Jobs())
