"""What a run owns and must give back: containers, pending images, a scratch directory, and the signals that end it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Protocol, Self

from debloat.core.errors import DebloatError, EngineUnavailable, Interrupted
from debloat.core.signals import ENDING
from debloat.engine.base import PENDING_REPOSITORY, Channel, ContainerSpec, Engine, Leftover
from debloat.engine.run_id import new_run

SCRATCH = "debloat-"
"""What the names of scratch directories begin with; the run's id and a word that differs follow."""

_IMPORTING = "<frozen importlib"
"""What the files of the import system's own code are called."""
_AGAIN = 0.01
"""Seconds after which a signal is sent again that came at a bad moment."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Closable(Protocol):
    """What is to be closed; closing it twice does no harm."""

    def close(self) -> None: ...


class Scratch:
    """A run that owns a scratch directory. As a context manager it gives everything back on every way out.

    While it is open SIGINT, SIGTERM and SIGHUP raise `Interrupted`, but never inside `shielded()`.
    """

    def __init__(self) -> None:
        self.run = new_run()
        self._directory: Path | None = None
        self._making_directory = threading.Lock()
        self._over = False
        self._shield = 0
        self._signal = 0
        self._previous: dict[signal.Signals, object] = {}

    @property
    def directory(self) -> Path:
        """A scratch directory that goes with the run, one for all its threads. Interrupted once the run has ended."""
        with self.shielded(), self._making_directory:  # in this order: a signal must not leave it locked
            if self._over:
                raise Interrupted("the run has ended")
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{self.run}-"))
            return self._directory

    def fresh(self, name: str) -> Path:
        """A path in the scratch directory that nobody else is given, called like `name`."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.directory)) / name

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """A block in which a signal waits for its end.

        Signals interrupt the main thread only, and the run waits for its other threads before it gives things back.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._shield += 1
        try:
            yield
        finally:
            self._shield -= 1
            if self._shield == 0 and self._signal:
                number, self._signal = self._signal, 0
                raise Interrupted(f"interrupted by {signal.Signals(number).name}")

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if self._shield:
            self._signal = number
        elif frame is not None and frame.f_code.co_filename.startswith(_IMPORTING):
            # The import system takes its lock a step before it begins to see to its release: no thread of this
            # process could import anything any more.
            again = threading.Timer(_AGAIN, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
        else:
            raise Interrupted(f"interrupted by {signal.Signals(number).name}")

    def __enter__(self) -> Self:
        with contextlib.suppress(ValueError):  # not the main thread: the caller handles signals
            for number in ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup(1), or a shell's background job
                    self._previous[number] = signal.signal(number, self._caught)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._previous:
            signal.signal(number, signal.SIG_IGN)
        try:
            with contextlib.suppress(DebloatError):
                self._give_back()
        finally:
            with self._making_directory:
                self._over = True
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
            for number, previous in self._previous.items():
                signal.signal(number, previous)  # type: ignore[arg-type]
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise EngineUnavailable(
                f"cannot write temporary files to {tempfile.gettempdir()}: {error.strerror}",
                "free space there, or set TMPDIR to a directory with more; the contents that stay are gathered there",
            ) from error

    def _give_back(self) -> None:
        """Give back what else the run owns."""


class Workspace(Scratch):
    """A run on an engine, which is shielded from signals between asking it for something and knowing its name."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self._pending = set[str]()
        self._containers: set[str] = set()
        self._unsure = False
        """Whether the engine may have made something whose name did not come back."""
        self._making = 0
        self._changed = threading.Condition()
        self._ended = False
        self._way = threading.Event()
        self._way.set()
        self._open: list[Closable] = []

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """A block at whose beginning a container is started that everything waits for: others `give_way` to it.

        Engines start two containers at once in the time that they take for one after the other.
        """
        self._way.clear()
        try:
            yield
        finally:
            self._way.set()

    def under_way(self) -> None:
        """Say that the container is started."""
        self._way.set()

    def give_way(self) -> None:
        """Wait until it is; at once where none is to be."""
        self._way.wait()

    def create(self, spec: ContainerSpec) -> str:
        """Create a container that is removed with the run at the latest. Interrupted once the run has ended."""
        with self.shielded():
            with self._changed:
                if self._ended:
                    raise Interrupted("the run has ended")
                self._making += 1
            made = ""
            try:
                made = self.engine.create(spec)
            finally:
                with self._changed:
                    self._making -= 1
                    self._unsure |= not made
                    self._containers.update({made} - {""})
                    self._changed.notify_all()
            return made

    def attach(self, container: str, tty: bool = False) -> Channel:
        """The streams of a container, closed with the run at the latest."""
        channel = self.engine.attach(container, tty)
        self.closing(channel)
        return channel

    def closing(self, thing: Closable) -> None:
        """Close a thing with the run at the latest."""
        self._open.append(thing)

    @contextlib.contextmanager
    def container(self, spec: ContainerSpec) -> Iterator[str]:
        """A container for the length of a block."""
        container = self.create(spec)
        try:
            yield container
        finally:
            with self.shielded():
                self.engine.remove(container)
                self._containers.discard(container)

    def end(self) -> None:
        """Create no more containers and remove those that are there, whatever other threads do with them."""
        with self.shielded():
            self._way.set()
            with self._changed:
                self._ended = True
                self._changed.wait_for(lambda: not self._making)
            for container in tuple(self._containers):
                with contextlib.suppress(DebloatError):
                    self.engine.remove(container)
                    self._containers.discard(container)

    def load(self, named: Callable[[str], Iterator[bytes]], instead: str = "") -> str:
        """Load an image, which `named` archives under a name that goes with the run; the image `instead` goes now."""
        name = instead or f"{PENDING_REPOSITORY}:{new_run() if self._pending else self.run}"
        with self.shielded():
            self._discard(instead)
            self._pending.add(name)
            self.engine.load(named(name), name)
            return name

    def publish(self, pending: str, reference: str) -> None:
        """Give the loaded image that is called `pending` its name; it is no longer pending."""
        with self.shielded():
            self.engine.tag(pending, reference)
            self._discard(pending)

    def _discard(self, name: str) -> None:
        if name in self._pending:
            self.engine.untag(name)
            self._pending.discard(name)

    def _give_back(self) -> None:
        # First the streams: Docker removes no container whose output somebody is attached to and does not read.
        for thing in self._open:
            thing.close()
        self.end()
        for name in sorted(self._pending):
            with contextlib.suppress(DebloatError):
                self._discard(name)
        # The engine is asked only where this may have missed something: it takes as long as removing a container.
        for leftover in self.engine.leftovers(self.run) if self._unsure or self._containers or self._pending else ():
            with contextlib.suppress(DebloatError):
                discard(self.engine, leftover)


def discard(engine: Engine, leftover: Leftover) -> None:
    """Remove what a run left on its engine; nothing happens where it is gone."""
    if leftover.kind == "container":
        engine.remove(leftover.id)
    elif leftover.kind == "image":
        engine.untag(leftover.name)
    else:
        engine.remove_shared(leftover.kind, leftover.id)
