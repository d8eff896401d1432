"""The judge's checks on an image with the sensor in front: which files do they use.

The checks are the judge's own, and so is the way they are asked; only the container's start and the commands in it
are wrapped as a recording wraps them. Commands that a check runs in the container through the host's `docker exec`
are not seen.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tarfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from unittest import mock

import docker
from msgspec.structs import replace

from debloat.core.errors import DebloatError
from debloat.core.model import Access, Image, Op
from debloat.core.recipe import RunOptions
from debloat.engine.base import ChannelClosed, Engine
from debloat.engine.workspace import Workspace
from debloat.image.reader import SENSOR, SENSOR_HOME, sensor_tar
from debloat.image.rootfs import Rootfs
from debloat.record.home import TRACES
from debloat.record.session import Recorder, container_spec, record_argv
from debloat.record.trace import parse_events, parse_marks
from tests.support import fixtures

USES = frozenset({Op.OPEN, Op.EXEC})
"""What counts as the use of a file: its content is wanted. That it is looked at is not enough."""

_BYTECODE = re.compile(r"(.*)/__pycache__/([^/]+?)\.[^/.]+(?:\.opt-\d)?\.pyc", re.DOTALL)


@dataclass(slots=True)
class Watch:
    """A judging under way: the check that is being asked, and what has been seen."""

    workspace: Workspace
    image: Image
    recorder: Recorder
    check: str = ""
    accesses: set[Access] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)


class _Watched(fixtures.Service):
    """A service whose program is recorded, and its commands while a check is asked: not those that await readiness."""

    watch: Watch
    options: RunOptions
    asking: bool = False
    commands: int = 0

    def exec(self, argv: Sequence[str], user: str, limit: float) -> tuple[int, str, str]:
        if not self.asking:
            return super().exec(argv, user, limit)
        self.commands += 1
        options = replace(self.options, user=user or self.options.user)
        wrapped = record_argv(self.watch.image.config, options, self.watch.recorder, f"exec{self.commands}")
        return super().exec((*wrapped, *argv), "0:0", limit)

    def mark(self, name: str) -> None:
        """What follows belongs to a check. A service that has ended takes no marks."""
        with contextlib.suppress(DebloatError, ChannelClosed, TimeoutError):
            engine: Engine = self.watch.workspace.engine
            argv = (SENSOR, "control", "--dir", TRACES)
            with contextlib.closing(engine.execute(str(self.container.id), argv, user="0:0")) as channel:
                word = b"".join(b"%c" % c if 0x21 <= c < 0x7F and c != 0x5C else b"\\x%02x" % c for c in name.encode())
                channel.send(b"mark " + word + b"\n")
                channel.line(5.0)

    def collect(self, check: str) -> None:
        """Take over what was recorded; `check` is the one that the container was started for, empty if for several."""
        stream = self.watch.workspace.engine.get(str(self.container.id), TRACES)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            files = {m.name.rpartition("/")[2]: f.read() for m in tar if (f := tar.extractfile(m)) is not None}
        marks = {} if check else parse_marks(files.get("marks", b""))
        for name, data in sorted(files.items()):
            if name.endswith(".events"):
                self.watch.accesses |= parse_events(data, check or "start", marks).accesses


@contextlib.contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """A block in which the judge's containers are recorded."""

    @contextlib.contextmanager
    def started(
        client: docker.DockerClient,
        image: str,
        fixture: fixtures.Fixture,
        options: fixtures.Options,
        args: str | None = None,
    ) -> Iterator[fixtures.Service]:
        check = watch.check
        given = RunOptions(
            **{name: getattr(options, name) for name in RunOptions.__struct_fields__ if hasattr(options, name)}
        )
        words = None if args is None else tuple(shlex.split(args))
        config, workspace = watch.image.config, watch.workspace
        ports = tuple(p for p in config.ports if p.endswith("/tcp")) if given.network != "none" else ()
        spec = container_spec(watch.image.id, config, words, given, watch.recorder, ports, workspace.run)
        with workspace.container(spec) as made:
            workspace.engine.put(made, SENSOR_HOME, sensor_tar(watch.recorder.sensor))
            workspace.engine.start(made)
            service = _Watched(client.containers.get(made), fixture)
            service.watch, service.options = watch, given
            try:
                yield service
            finally:
                try:
                    service.collect(check)
                except (DebloatError, tarfile.TarError) as error:
                    watch.lost.append(f"{check or 'the shared container'}: {error}")

    def ask(service: fixtures.Service, check: fixtures.Check) -> None:
        assert isinstance(service, _Watched)
        if not watch.check:
            service.mark(check.name)
        service.asking = True
        try:
            real_ask(service, check)
        finally:
            service.asking = False

    def ask_alone(client: docker.DockerClient, image: str, fixture: fixtures.Fixture, check: fixtures.Check) -> None:
        watch.check = check.name
        try:
            real_ask_alone(client, image, fixture, check)
        finally:
            watch.check = ""

    real_ask, real_ask_alone = fixtures._ask, fixtures._ask_alone
    with mock.patch.multiple(fixtures, _started=started, _ask=ask, _ask_alone=ask_alone):
        yield


def used_files(accesses: set[Access], rootfs: Rootfs) -> dict[str, set[str]]:
    """The files of an image whose content was wanted, each with the checks that wanted it.

    Files that were only emptied or made anew do not count: their content was not wanted.
    """
    used: dict[str, set[str]] = {}
    for access in accesses:
        if access.op not in USES or set(access.flags) & set("tx"):
            continue
        entry = rootfs.lookup(access.path)
        if entry is not None and entry.is_file:
            used.setdefault(entry.path, set()).add(access.probe)
    return used


def lacking(used: Iterable[str], there: Rootfs | Collection[str]) -> list[str]:
    """The used files that are not there. Bytecode whose source is there is no loss: the interpreter makes it again."""
    return [path for path in used if path not in there and _source(path) not in there]


def _source(path: str) -> str:
    """The module that a file of bytecode was made of (PEP 3147), or the path itself."""
    found = _BYTECODE.fullmatch(path)
    return f"{found[1]}/{found[2]}.py" if found else path
