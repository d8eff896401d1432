"""The sensor's directory in a recorded container, `/.debloat`: how it comes to be there, and what was recorded back.

As a rule it is a volume, which the engine fills and reads. Where the engine mounts directories of this machine, it is
one of the run's, and nothing passes through the engine.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.errors import EngineUnavailable, SensorUnavailable, UsageError
from debloat.core.model import Image
from debloat.engine.base import ContainerSpec, Engine
from debloat.engine.workspace import Workspace
from debloat.image.contents import open_file
from debloat.image.reader import SENSOR_HOME, sensor_tar

TRACES = f"{SENSOR_HOME}/trace"
MAX_TRACE_BYTES = 1 << 30


class Home(Struct, frozen=True):
    """Where `/.debloat` of a container lies: in a directory of this machine, or in a volume (None)."""

    directory: Path | None = None

    def traces(self, engine: Engine, container: str) -> dict[str, bytes]:
        """The files that the sensor wrote, by name. SensorUnavailable where they are damaged, or too many."""
        if self.directory is None:
            return _untar(engine.get(container, TRACES))
        try:
            return _regular_files(self.directory)
        except OSError as error:
            raise SensorUnavailable(f"the trace is gone: {error.strerror}", "run `debloat doctor`") from error


IN_A_VOLUME = Home()


@contextlib.contextmanager
def with_sensor(workspace: Workspace, image: Image, spec: ContainerSpec, sensor: bytes) -> Iterator[tuple[str, Home]]:
    """A container by `spec` with the sensor in it, which is not started yet; removed when the block ends.

    `image` is what the engine is known to have in directories of this machine, if it has anything there.
    """
    with contextlib.ExitStack() as stack:
        if workspace.engine.directories(image) and (directory := stack.enter_context(_filled(workspace, sensor))):
            elsewhere = tuple(path for path in spec.anonymous if path != SENSOR_HOME)
            mounted = replace(spec, anonymous=elsewhere, mounts=((str(directory), SENSOR_HOME),))
            container = ""
            # Temporary directories may be this process's own, which the engine does not see (systemd's PrivateTmp).
            with contextlib.suppress(EngineUnavailable, UsageError):
                container = stack.enter_context(workspace.container(mounted))
            if container:
                yield container, Home(directory)
                return
        container = stack.enter_context(workspace.container(spec))
        workspace.engine.put(container, SENSOR_HOME, sensor_tar(sensor))
        yield container, IN_A_VOLUME


@contextlib.contextmanager
def _filled(workspace: Workspace, sensor: bytes) -> Iterator[Path | None]:
    """A directory that can be `/.debloat`; None where nothing can be executed among temporary files."""
    directory = workspace.fresh("home")
    if os.statvfs(directory.parent).f_flag & os.ST_NOEXEC:
        yield None
        return
    try:
        with tarfile.open(fileobj=io.BytesIO(sensor_tar(sensor))) as tar:
            tar.extractall(directory, filter="fully_trusted")
        directory.chmod(0o755)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _regular_files(directory: Path) -> dict[str, bytes]:
    """The traces in a directory that a program could write to: nothing that it put there leads anywhere else."""
    files, left = dict[str, bytes](), MAX_TRACE_BYTES
    traces = open_file(str(directory / Path(TRACES).name))
    try:
        for name in sorted(os.listdir(traces)):
            if not stat.S_ISREG(os.stat(name, dir_fd=traces, follow_symlinks=False).st_mode):
                continue
            with open(open_file(name, traces), "rb") as file:
                files[name] = file.read(left + 1)
            left -= len(files[name])
            _must_fit(left)
    finally:
        os.close(traces)
    return files


def _must_fit(left: int) -> None:
    if left < 0:
        raise SensorUnavailable("the trace is larger than a gigabyte", "exercise less in one run, and combine")


def _untar(stream: Iterator[bytes]) -> dict[str, bytes]:
    """The regular files of a small archive, by their last name."""
    data = io.BytesIO()
    for piece in stream:
        data.write(piece)
        _must_fit(MAX_TRACE_BYTES - data.tell())
    data.seek(0)
    files = {}
    try:
        with tarfile.open(fileobj=data, mode="r:") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                if file is not None:
                    files[member.name.rpartition("/")[2]] = file.read()
    except tarfile.TarError as error:
        raise SensorUnavailable(f"the trace came back damaged: {error}", "run `debloat doctor`") from error
    return files
