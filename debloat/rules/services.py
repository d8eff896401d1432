"""The programs of a service: what its administrators run in the container beside the daemon.

A package that ships a daemon says so in a systemd unit or an init script (Debian policy 9.3). Where that daemon ran,
the programs of its source package are those to ask, reload and repair it with: `varnishlog`, `lighttpd-angel`. Where a
family names programs of the daemon, it has chosen them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.model import Entry, Op, Want
from debloat.rules.families import Members, canonical, left_out
from debloat.rules.kernel import shebang
from debloat.rules.shelleval import SHELLS

MOST_BYTES = 2 << 20
"""A larger program is no switch of the service, but a client or a service in its own right."""

_UNITS = ("/usr/lib/systemd/system/", "/lib/systemd/system/", "/etc/init.d/")
_PROGRAMS = ("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/")


class ServicePrograms(Rule):
    """With a daemon that ran, the programs of its source package; scripts follow their interpreter, if that is kept."""

    name = "service.program"

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.executable:
            for path, daemon in world.derived(_programs).get(entry.path, ()):
                yield self.want(path, entry.path, f"administers {daemon}, which ran")


def _programs(world: World) -> dict[str, tuple[tuple[str, str], ...]]:
    """A daemon, or an interpreter -> the programs that come with it, each with the daemon."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    unwanted = world.derived(left_out)
    for daemon, packages in _daemons(world):
        if _known(daemon, world):
            continue
        paths = [p for name in packages for p in world.packages.files(name) if p.startswith(_PROGRAMS)]
        entries = [e for p in paths if (e := world.rootfs.get(p)) is not None and e.executable and not unwanted(p)]
        world.rootfs.fetch(e.path for e in entries if e.size <= MOST_BYTES)
        for entry in entries:
            if entry.path == daemon or entry.size > MOST_BYTES:
                continue
            line = shebang(world.rootfs.read(entry.path, 256))
            script = line is not None and line[0].rpartition("/")[2] not in SHELLS
            first = world.rootfs.resolve(line[0]).path if script and line is not None else daemon
            if first is not None:
                found[first].append((entry.path, daemon.rpartition("/")[2]))
    return {first: tuple(sorted(set(programs))) for first, programs in found.items()}


def _known(daemon: str, world: World) -> bool:
    """Whether a family of the daemon says which of its programs are wanted."""
    families = world.derived(Members).index.match(canonical(daemon))
    return any(
        glob.startswith(_PROGRAMS) and glob != canonical(daemon) for family, _ in families for glob in family.keep
    )


def _daemons(world: World) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The daemons that ran, each with the packages of its source; of several of one source each brings them."""
    fellows: dict[str, list[str]] = defaultdict(list)
    for name in world.packages.names():
        if package := world.packages.get(name):
            fellows[package.source].append(name)
    resolve = world.rootfs.resolve
    ran = {real for a in world.trace.accesses if a.op is Op.EXEC and (real := resolve(a.path).path)}
    for program in sorted(ran):
        for owner in world.packages.owners(program):
            package = world.packages.get(owner)
            names = tuple(fellows[package.source]) if package is not None else ()
            if names and _is_daemon(program, names, world):
                yield program, names


def _is_daemon(program: str, packages: Iterable[str], world: World) -> bool:
    """Whether a unit or an init script of one of the packages starts the program."""
    units = [
        p for name in packages for p in world.packages.files(name) if p.startswith(_UNITS) and world.rootfs.is_file(p)
    ]
    world.rootfs.fetch(units)
    named = (
        program.encode("utf-8", "surrogateescape"),
        program.removeprefix("/usr").encode("utf-8", "surrogateescape"),
    )
    for path in units:
        for line in world.rootfs.read(path, 1 << 16).split(b"\n"):
            words = line.replace(b"=", b" ").replace(b'"', b" ").split()
            if any(word in words or b"-" + word in words for word in named) and not line.lstrip().startswith(b"#"):
                return True
    return False


RULES: tuple[Rule, ...] = (ServicePrograms(),)
