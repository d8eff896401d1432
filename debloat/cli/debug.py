"""`debloat debug CONTAINER`: a container with the original's tools beside a running one that has none."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import threading
from collections.abc import Iterator

import click

from debloat.cli.engines import Engines
from debloat.cli.options import Debug
from debloat.core.errors import UsageError
from debloat.core.model import Image
from debloat.core.text import name
from debloat.engine.base import Channel, ChannelClosed, ContainerFound, ContainerSpec
from debloat.engine.workspace import Workspace
from debloat.image.carve import BASE_NAME

SHELL = ("/bin/sh",)
_PIECE = 1 << 16
_GLANCE = 0.2
"""Seconds after which standard error is looked at, and whether the command is still there."""
_ENDING = 10.0
"""Seconds that a container whose streams have ended may take to say how."""


def debug(options: Debug, engines: Engines) -> None:
    """Relay the streams of the command; its exit code is ours. The container that it runs in is gone afterwards."""
    with Workspace(engine := engines.connect()) as workspace:
        target = engine.find(options.container)
        if not target.running:
            raise UsageError(f"cannot debug {options.container}: it does not run", "start it first")
        tools = engine.image(options.image or _original(engine.image(target.image), options.container))
        tty = sys.stdin.isatty() and sys.stdout.isatty()
        click.echo(f"debloat: tools of {name(tools.reference)}; the container's files are below /proc/1/root", err=True)
        with workspace.container(toolbox(workspace, target, tools, options.command, tty)) as box:
            channel = workspace.attach(box, tty)
            engine.start(box)
            if tty:
                columns, rows = shutil.get_terminal_size()
                engine.resize(box, rows, columns)
            with _raw() if tty else contextlib.nullcontext():
                relay(channel)
            code = engine.wait(box, _ENDING)
            channel.close()
    click.get_current_context().exit(1 if code is None else code)


def toolbox(
    workspace: Workspace, target: ContainerFound, tools: Image, command: tuple[str, ...], tty: bool
) -> ContainerSpec:
    """A container with the tools of an image that sees the processes and the network of another.

    SYS_PTRACE is what /proc/1/root takes (proc(5)); nothing else is added.
    """
    program = command or SHELL
    return ContainerSpec(
        image=tools.id,
        run=workspace.run,
        entrypoint=program[:1],
        cmd=program[1:],
        user="0",
        env={"TERM": os.environ.get("TERM", "dumb")},
        workdir="/",
        cap_add=("SYS_PTRACE",),
        stdin=True,
        logs=False,
        beside=target.id,
        tty=tty,
    )


def _original(image: Image, container: str) -> str:
    base = (image.config.raw.get("Labels") or {}).get(BASE_NAME)
    if not isinstance(base, str) or not base:
        raise UsageError(
            f"cannot tell whose tools to use: the image of {container} does not say what it was made from",
            "name an image with --image",
        )
    return base


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
