"""`debloat debug CONTAINER`: a container with the original's tools beside a running one that has none."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from debloat import sensor
from debloat.cli.engines import Engines
from debloat.cli.options import Debug
from debloat.core.errors import DebloatError, UsageError
from debloat.core.model import Access, Image, ImageConfig
from debloat.core.recipe import RunOptions
from debloat.core.text import name
from debloat.core.written import must_be_writable, written_whole
from debloat.debian import dpkg
from debloat.engine.base import Channel, ChannelClosed, ContainerFound, ContainerSpec
from debloat.engine.workspace import Workspace
from debloat.image.carve import BASE_NAME
from debloat.image.reader import SENSOR, SENSOR_HOME, open_rootfs, sensor_tar
from debloat.lock.heal import noted
from debloat.record.beside import ROOT, in_vain, lookups
from debloat.record.home import TRACES
from debloat.record.session import Recorder, Session
from debloat.rules.recorded.sweeps import is_outside_image

SHELL = ("/bin/sh",)
_PIECE = 1 << 16
_GLANCE = 0.2
"""Seconds after which standard error is looked at, and whether the command is still there."""
_SHOWN = 20
"""Paths that are listed of those that were looked up in vain."""
_ENDING = 10.0
"""Seconds that a container whose streams have ended may take to say how."""


def debug(options: Debug, engines: Engines) -> None:
    """Relay the streams of the command; its exit code is ours. The container that it runs in is gone afterwards."""
    if options.notes is not None:
        must_be_writable(Path(options.notes))
    with Workspace(engine := engines.connect()) as workspace:
        target = engine.find(options.container)
        if not target.running:
            raise UsageError(f"cannot debug {options.container}: it does not run", "start it first")
        if not target.alone:
            raise UsageError(
                f"cannot debug {options.container}: its PID 1 is another's, and so are the files that are seen there",
                "start it with processes of its own",
            )
        minimal = engine.image(target.image)
        base = _original(minimal)
        if not base and options.image is None:
            raise UsageError(
                f"cannot tell whose tools to use: the image of {options.container} does not say what it was made from",
                "name an image with --image",
            )
        if not base and options.notes is not None:
            raise UsageError(
                f"cannot tell what is missing: the image of {options.container} does not say what it was made from",
                "leave out --notes",
            )
        tools = engine.image(options.image or base)
        watcher = Watcher(workspace, target, minimal, base, options.notes)
        tty = sys.stdin.isatty() and sys.stdout.isatty()
        click.echo(f"debloat: tools of {name(tools.reference)}; the container's files are below {ROOT}", err=True)
        with workspace.container(toolbox(workspace, target, tools, watcher.argv(options.command or SHELL), tty)) as box:
            watcher.prepare(box)
            channel = workspace.attach(box, tty)
            engine.start(box)
            if tty:
                columns, rows = shutil.get_terminal_size()
                engine.resize(box, rows, columns)
            with _raw() if tty else contextlib.nullcontext():
                relay(channel)
            code = engine.wait(box, _ENDING)
            channel.close()
            watcher.tell(box)
    click.get_current_context().exit(1 if code is None else code)


def toolbox(
    workspace: Workspace, target: ContainerFound, tools: Image, program: tuple[str, ...], tty: bool
) -> ContainerSpec:
    """A container with the tools of an image that sees the processes and the network of another.

    SYS_PTRACE is what /proc/1/root takes (proc(5)); nothing else is added.
    """
    return ContainerSpec(
        image=tools.id,
        run=workspace.run,
        entrypoint=program,
        user="0",
        env={"TERM": os.environ.get("TERM", "dumb")},
        workdir="/",
        anonymous=(SENSOR_HOME,),
        cap_add=("SYS_PTRACE",),
        stdin=True,
        logs=False,
        beside=target.id,
        tty=tty,
    )


def _original(image: Image) -> str:
    base = (image.config.raw.get("Labels") or {}).get(BASE_NAME)
    return base if isinstance(base, str) else ""


class Watcher:
    """The sensor in front of a command, and what it tells of lookups in the container that failed.

    Where it cannot be had the command runs without it, unless the notes were asked for.
    """

    def __init__(
        self, workspace: Workspace, target: ContainerFound, minimal: Image, base: str, notes: str | None
    ) -> None:
        self._workspace = workspace
        self._target = target
        self._minimal = minimal
        self._base = base
        self._notes = notes
        self._sensor = b""
        if base:
            with self._bearing():
                self._sensor = sensor.binary(workspace.engine.info().architecture)

    def argv(self, program: tuple[str, ...]) -> tuple[str, ...]:
        return (SENSOR, "record", "--dir", TRACES, "--beside", "--", *program) if self._sensor else program

    def prepare(self, box: str) -> None:
        if self._sensor:
            self._workspace.engine.put(box, SENSOR_HOME, sensor_tar(self._sensor))

    def tell(self, box: str) -> None:
        """Say, and note, what was looked up in vain by the command, which has ended."""
        if not self._sensor:
            return
        with self._bearing():
            config, recorder = ImageConfig({}), Recorder(self._sensor)
            session = Session(self._workspace.engine, box, config, RunOptions(), recorder)
            asked = list(lookups(session.recorded("start").accesses))
            missing = self._missing(asked) if asked else {}
            if self._notes is not None:
                original = self._workspace.engine.image(self._base, pull=False)
                with written_whole(Path(self._notes)) as draft:
                    draft.write_bytes(noted(original.identity, missing))
            self._say(missing)

    def _missing(self, asked: list[Access]) -> dict[str, str]:
        """By the path of each: the packages that it is of, as text, or nothing."""
        engine = self._workspace.engine
        there = open_rootfs(self._workspace, self._minimal, self._sensor)
        made, mounts = engine.changes(self._target.id), tuple(f"{m.rstrip('/')}/" for m in self._target.mounts)
        original = open_rootfs(self._workspace, engine.image(self._base, pull=False), self._sensor)

        def has(path: str) -> bool:
            return path in there or path in made or f"{path}/".startswith(mounts) or is_outside_image(path)

        missing = in_vain(asked, original, has)
        packages = dpkg.read(original) if missing else None
        return {path: ", ".join(packages.owners(path)) for path in missing} if packages else {}

    def _say(self, missing: Mapping[str, str]) -> None:
        if not missing:
            return
        lines = [f"  {name(path)}{f' ({name(owners)})' if owners else ''}" for path, owners in missing.items()]
        more = [f"  and {len(lines) - _SHOWN:,} more"] if len(lines) > _SHOWN else []
        click.echo(f"debloat: looked up in the container in vain, though {name(self._base)} has it:", err=True)
        click.echo("\n".join((*lines[:_SHOWN], *more)), err=True)
        heal = f"run `debloat heal {name(self._notes)}`" if self._notes else "heal a lock with the --notes of this"
        click.echo(f"debloat: what the service needs of it, keep with --keep, or {heal}", err=True)

    @contextlib.contextmanager
    def _bearing(self) -> Iterator[None]:
        try:
            yield
        except DebloatError as error:
            if self._notes is not None:
                raise
            click.echo(f"debloat: lookups are not noted: {error.message}", err=True)


def relay(channel: Channel) -> None:
    """Standard input to the command, and what it says to our outputs, until it has ended."""
    ended = threading.Event()
    sender = threading.Thread(target=_send, args=(channel, ended), daemon=True)
    sender.start()
    told = 0
    try:
        while True:
            try:
                click.echo(channel.some(_GLANCE), nl=False)
            except TimeoutError:
                pass
            except ChannelClosed:
                return
            finally:
                errors = channel.errors()
                if len(errors) > told:
                    click.echo(errors[told:], nl=False, err=True)
                told = len(errors)
    finally:
        ended.set()
        sender.join(2 * _GLANCE)


def _send(channel: Channel, ended: threading.Event) -> None:
    try:
        source = sys.stdin.fileno()
    except (OSError, ValueError):  # none, or none of the system's
        channel.end()
        return
    with contextlib.suppress(ChannelClosed, OSError, ValueError):
        while not ended.is_set():
            if select.select([source], [], [], _GLANCE)[0]:
                data = os.read(source, _PIECE)
                if not data:
                    channel.end()
                    return
                channel.send(data)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Our terminal without a mind of its own: the one in the container has it."""
    import termios
    import tty

    source = sys.stdin.fileno()
    before = termios.tcgetattr(source)
    tty.setraw(source)
    try:
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)
