"""What the image's configuration asks for by itself: programs, user, directories, and what every container has.

The engine reads these, not the program, so no trace shows them. Facts: the OCI image and runtime specifications,
and `libcontainer/user` of runc for how USER is looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.core.accounts import home_of
from debloat.core.model import MOUNT_POINTS, Level, Want
from debloat.debian.prune import ALIASES, IDENTITY
from debloat.rules.commands import command

ENGINE_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""Mounted over by Docker, Podman and Kubernetes; created in a root file system that lacks them, if it is writable."""

STATE_DIRECTORIES = ("/tmp", "/var/tmp", "/run", "/var/run")
"""Directories that any program may expect (FHS 3.0, 3.15, 3.18, 5.15); kept empty, with their modes."""


class Program(Rule):
    """The programs that the engine starts: ENTRYPOINT, CMD, HEALTHCHECK, found through PATH and WORKDIR.

    CMD's first word is a program also behind an ENTRYPOINT, which as a rule ends in `exec "$@"`. The shell of
    SHELL runs only where HEALTHCHECK's form says so; that of a shell-form ENTRYPOINT or CMD is its first word.
    """

    name = "config.program"
    level = Level.EXACT

    def initial_wants(self, world: World) -> Iterable[Want]:
        config = world.config
        healthcheck = config.healthcheck
        programs = [
            ("Entrypoint", config.entrypoint[:1]),
            ("Cmd", config.cmd[:1]),
            ("Healthcheck", healthcheck[1:2] if healthcheck[:1] == ("CMD",) else ()),
            ("Shell", config.shell[:1] if healthcheck[:1] == ("CMD-SHELL",) else ()),
        ]
        for field, words in programs:
            for word in words:
                path = command(world, word, config.workdir)
                if path is not None:
                    yield self.want(path, f"config:{field}", word)


class User(Rule):
    """/etc/passwd and /etc/group, in which the engine looks up USER, its groups and HOME, and that HOME.

    They are read for a numeric and an absent USER as well: without an entry, HOME becomes `/`.
    """

    name = "config.user"
    level = Level.EXACT

    def initial_wants(self, world: World) -> Iterable[Want]:
        for path in ("/etc/passwd", "/etc/group"):
            yield self.want(path, "config:User", "the engine looks up USER in it")
        home = world.config.env.get("HOME") or home_of(world.rootfs.text("/etc/passwd"), world.config.user)
        if home and world.rootfs.is_dir(home):
            yield self.want(home, "config:User", "HOME")


class Directories(Rule):
    """WORKDIR and VOLUME: made by the engine if they are missing, but then without their owner and mode."""

    name = "config.directory"
    level = Level.EXACT

    def initial_wants(self, world: World) -> Iterable[Want]:
        yield self.want(world.config.workdir, "config:WorkingDir")
        for volume in world.config.volumes:
            yield self.want(volume, "config:Volumes")


class System(Rule):
    """What any Debian container has: mount points, directories for state, the links of a merged /usr, its identity."""

    name = "config.system"
    level = Level.EXACT

    def initial_wants(self, world: World) -> Iterable[Want]:
        groups = [
            (MOUNT_POINTS, "mount point"),
            (ENGINE_FILES, "mounted over by the engine"),
            (STATE_DIRECTORIES, "directory for state"),
            (tuple(_links(world)), "merged /usr"),
            (IDENTITY, "which system this is"),
        ]
        for paths, detail in groups:
            yield from (self.want(path, "config:System", detail) for path in paths)


def _links(world: World) -> Iterator[str]:
    for path in ALIASES:
        entry = world.rootfs.get(path)
        if entry is not None and entry.is_symlink:
            yield path


RULES: tuple[Rule, ...] = (Program(), User(), Directories(), System())
