"""A container: overlay, volumes and OCI bundle on disk, and the runtime that runs it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import resource
import signal
import stat
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from debloat.core.accounts import User, user_of
from debloat.core.errors import EngineUnavailable, UsageError
from debloat.core.model import Image, ImageConfig
from debloat.embedded import bundle, files, runtime, seccomp, syscalls, userns, view
from debloat.embedded.copying import copy_tree
from debloat.embedded.namespace import Namespace
from debloat.embedded.network import Network
from debloat.embedded.place import Place, remove_tree
from debloat.embedded.program import Handle, PipeChannel, Pipes, Watch
from debloat.engine.base import ContainerSpec, ContainerState, ExecResult
from debloat.engine.volumes import Volume, parse

START_LIMIT = 60.0
"""Seconds within which a runtime starts a program."""
END_LIMIT = 10.0
"""Seconds within which a container ends that is killed."""
MAX_DESCRIPTORS = 1 << 20
"""Open files of a container at most, where this machine allows more: Docker's service has as many."""
_VOLATILE_SINCE = 5, 10
"""The kernel whose overlays may leave out all syncing (overlayfs.rst)."""
_PAUSE = 0.001
_META = "container.json"


class Ground(Struct, frozen=True):
    """What containers stand on: the place, its mounts, the runtime; `user` where its root is a user's own."""

    place: Place
    namespace: Namespace
    runtime: runtime.Runtime
    user: bool


class Container:
    """A container of this process. Made by `create`; `end` and `clear` give everything back."""

    def __init__(self, ground: Ground, identifier: str, spec: ContainerSpec, image: Image) -> None:
        self.id = identifier
        self._ground = ground
        self._spec = spec
        self._config: ImageConfig = image.config
        self._directory = ground.place.containers / identifier
        self._network: Network | None = None
        self._layers: list[str] = []
        self._mixed = False
        self._seen = view.Seen("", "", ())
        self._held: tuple[str, ...] = ()
        self._watch: Watch | None = None
        self._handle: Handle | None = None
        self._attached: Pipes | None = None
        self._error = ""
        self._oom_kills = 0
        self._commands = 0

    # ------------------------------------------------------------------------------------------ making

    @property
    def root(self) -> str:
        """The root file system, in the namespace of the mounts."""
        return str(self._directory / "root")

    def create(self, layers: list[str], network: Network | None, *, mixed: bool = False) -> None:
        """Make its files and mounts; `layers` are directories below the place's, the lowest first.

        `mixed` says that they are on several file systems.
        """
        self._network = network
        self._layers = layers
        self._mixed = mixed
        self._directory.mkdir(mode=0o700)
        (self._directory / _META).write_text(json.dumps({"run": self._spec.run, "image": self._spec.image}), "utf-8")
        for name in ("root", "upper", "work", "state"):
            (self._directory / name).mkdir(mode=0o755)
        self._ground.namespace.call(lambda: self._mount_root(layers))
        volumes = self._volumes()
        single = frozenset(v.target for v in volumes if v.source.startswith("/") and not os.path.isdir(v.source))
        workdir = self._spec.workdir or self._config.workdir
        targets = [volume.target for volume in volumes]
        self._seen = self._ground.namespace.within(self.root, lambda: view.prepare([*targets, workdir], single))
        self._ground.namespace.call(lambda: self._mount_volumes(volumes, self._seen.directories))
        files.write(
            self._directory / "files",
            self.id[:12],
            network.addresses if network is not None else (),
            shared=network is None,
        )
        (self._directory / "config.json").write_text(json.dumps(self._document()), "utf-8", "surrogateescape")

    def _mount_root(self, layers: list[str]) -> None:
        # Paths relative to the layers': absolute ones may hold what separates options, and all go into one page.
        os.chdir(self._ground.place.layers)
        try:
            self._overlay(layers, f"../containers/{self.id}")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise EngineUnavailable(
                    f"cannot mount the image's layers: {error.strerror}", "`debloat doctor` says what is missing"
                ) from error
            # On top of another overlay, as in a container: what is written then stays in memory.
            syscalls.mount("tmpfs", str(self._directory / "work"), "tmpfs", 0, "mode=755")
            for name in ("upper", "work"):
                (self._directory / "work" / name).mkdir(mode=0o755)
            self._overlay(layers, f"../containers/{self.id}/work")
        finally:
            os.chdir("/")

    def _overlay(self, layers: list[str], writable: str) -> None:
        # The lowest of all has nothing: overlayfs wants a layer where an image has none.
        lower = ":".join([*reversed(layers), f"../containers/{self.id}/state"] if not layers else reversed(layers))
        options = f"lowerdir={lower},upperdir={writable}/upper,workdir={writable}/work"
        options += ",userxattr" if self._ground.user else ""
        # Nothing outlives the container: what its programs sync need not be written, nor anything at the end.
        options += ",volatile" if _kernel() >= _VOLATILE_SINCE else ""
        # So that files and directories are on one device for programs, and keep their numbers (overlayfs.rst).
        options += ",xino=on" if self._mixed else ""
        syscalls.mount("overlay", self.root, "overlay", 0, options)

    def _volumes(self) -> list[Volume]:
        """The volumes, those above others first: the user's over the image's of the same place."""
        found = {path: Volume("", path) for path in (*self._config.volumes, *self._spec.anonymous)}
        for text in self._spec.volumes:
            volume = parse(text)
            found[volume.target.rstrip("/") or "/"] = volume
        for text in self._spec.tmpfs:
            found.pop(text.partition(":")[0].rstrip("/"), None)
        return [found[path] for path in sorted(found)]

    def _mount_volumes(self, volumes: list[Volume], places: Iterable[str]) -> None:
        for volume, place in zip(volumes, places, strict=False):
            target = self.root + place
            # An anonymous volume is the container's own copy already: a mount of it makes it one.
            source = self._source(volume, target) if volume.source else target
            try:
                syscalls.mount(source, target, flags=syscalls.MS_BIND | (syscalls.MS_REC if volume.source else 0))
                if volume.read_only:
                    flags = syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY
                    syscalls.mount("", target, flags=flags | _locked(target))
            except OSError as error:
                raise UsageError(
                    f"cannot mount {source} at {volume.target}: {error.strerror}", "name a directory that can be read"
                ) from error

    def _source(self, volume: Volume, target: str) -> str:
        if not volume.named:
            if not os.path.lexists(volume.source):
                os.makedirs(volume.source, exist_ok=True)
            return volume.source
        directory = self._ground.place.volumes / volume.source
        if not directory.exists():
            directory.mkdir(mode=0o755)
            if volume.copied:
                copy_tree(target, str(directory))
        return str(directory)

    def _document(self) -> dict[str, Any]:
        around = bundle.Surroundings(
            self.id[:12],
            Path(self.root),
            self._directory / "files",
            self._network.path if self._network is not None else "",
            runtime.init() if self._spec.init else "",
            userns.capabilities("CapPrm"),
            min(resource.getrlimit(resource.RLIMIT_NOFILE)[1] % (1 << 63), MAX_DESCRIPTORS),
            self._ground.user,
        )
        self._held = bundle.capabilities(self._spec, around.capabilities)
        where = (seccomp.architecture_of(os.uname().machine), _kernel())
        profile = (
            seccomp.resolved(json.loads(self._spec.seccomp), frozenset(self._held), *where)
            if self._spec.seccomp
            else seccomp.profile(self._held, *where)
        )
        account = self._user(self._spec.user or self._config.user)
        return bundle.document(self._spec, self._config, account, around, self._held, profile)

    def _user(self, user: str) -> User:
        return user_of(user, self._spec.group_add, self._seen.passwd, self._seen.group)

    # ------------------------------------------------------------------------------------------ running

    def attach(self) -> PipeChannel:
        """The standard streams; before it is started."""
        self._attached = Pipes(stdin=True)
        return PipeChannel(self._attached)

    def start(self) -> None:
        """Start the program; EngineUnavailable or UsageError where it cannot be, with the runtime's words."""
        log, pid_file = self._directory / "log", self._directory / "pid"
        argv = self._argv("log", "run", "--bundle", str(self._directory), "--pid-file", str(pid_file), self.id)
        pipes = self._attached or Pipes(output=self._spec.logs)
        self._oom_kills = oom_kills()
        process = self._ground.namespace.call(lambda: pipes.spawn(argv, "/"))
        self._watch = Watch(process, pipes if self._spec.logs and not self._attached else None)
        deadline = time.monotonic() + START_LIMIT
        while not self._has_begun(process, pid_file):
            if time.monotonic() > deadline:
                raise EngineUnavailable(f"cannot start the container: no answer after {START_LIMIT:g} s")
            if not self._watch.running:
                self._error = _words(log)
                if self._error:
                    raise EngineUnavailable(f"cannot start the container: {self._error}", _advice(self._error))
                return
            time.sleep(_PAUSE)

    def _has_begun(self, process: subprocess.Popen[bytes], pid_file: Path) -> bool:
        """Whether the program has taken the place of the runtime's own."""
        if self._handle is None:
            try:
                pid = int(pid_file.read_text())
                self._handle = Handle(pid)
            except (OSError, ValueError):
                return False
        command = _command(self._handle.pid)
        return not command or not (command.startswith(b"runc\0init\0") or command == _command(process.pid))

    def state(self) -> ContainerState:
        watch = self._watch
        running = watch is not None and watch.running
        addresses = self._network.addresses if self._network is not None else ()
        return ContainerState(
            running=running,
            exit_code=watch.exit_code if watch is not None and not running else 0,
            error=self._error,
            pid=self._handle.pid if running and self._handle is not None else 0,
            ports={},
            oom_killed=watch is not None and oom_kills() > self._oom_kills,
            addresses=addresses,
        )

    def wait(self, timeout: float) -> int | None:
        if self._watch is None:
            raise EngineUnavailable("cannot wait for the container: it was not started")
        return self._watch.exit_code if self._watch.wait(timeout) else None

    def kill(self, number: int) -> None:
        if self._handle is not None and self._watch is not None and self._watch.running:
            self._handle.send(number)

    def output(self) -> tuple[bytes, bytes]:
        return self._watch.output() if self._watch is not None else (b"", b"")

    def execute(self, argv: tuple[str, ...], user: str, *, stdin: bool) -> Command:
        """Start a command in the running container."""
        if self._watch is None or not self._watch.running:
            raise EngineUnavailable("cannot run a command in the container: it is not running")
        self._commands += 1
        name = f"command{self._commands}"
        account = self._user(user or self._spec.user or self._config.user)
        document = bundle.process(
            argv,
            account,
            bundle.environment(self._spec, self._config, self.id[:12]),
            self._spec.workdir or self._config.workdir,
            self._held,
            self._spec,
        )
        path = self._directory / f"{name}.json"
        path.write_text(json.dumps(document), "utf-8", "surrogateescape")
        pipes = Pipes(stdin=stdin)
        words = self._argv(f"{name}.log", "exec", "--process", str(path), self.id)
        process = self._ground.namespace.call(lambda: pipes.spawn(words, "/"))
        return Command(PipeChannel(pipes, process), process, self._directory / f"{name}.log")

    def run(self, argv: tuple[str, ...], user: str, timeout: float) -> ExecResult:
        """Run a command to its end. What cannot be started ends as in a shell: 127 where it is missing, else 126."""
        command = self.execute(argv, user, stdin=False)
        with contextlib.closing(command.channel):
            stdout, stderr = command.channel.drain(timeout)
            code = command.process.wait(END_LIMIT)
        if why := command.words():
            missing = "No such file" in why or "not found" in why
            return ExecResult(127 if missing else 126, stdout, f"{why}\n".encode() + stderr)
        return ExecResult(code if code >= 0 else 128 - code, stdout, stderr)

    def changes(self) -> frozenset[str]:
        """Paths that the root file system has and the image has not."""
        return self._ground.namespace.call(self._new_paths)

    def _new_paths(self) -> frozenset[str]:
        lower = [self._ground.place.layers / name for name in reversed(self._layers)]
        found = set()
        for upper in (self._directory / "upper", self._directory / "work" / "upper"):
            for directory, names, others in os.walk(upper):
                for name in (*names, *others):
                    path = os.path.relpath(os.path.join(directory, name), upper)
                    if not _is_in(lower, path):
                        found.add(f"/{path}")
        return frozenset(found)

    def _argv(self, log: str, *words: str) -> list[str]:
        return self._ground.runtime.argv(self._directory / "state", self._directory / log, *words)

    def network(self) -> Network | None:
        return self._network

    # ------------------------------------------------------------------------------------------ removing

    def end(self) -> None:
        """End its programs."""
        if self._watch is not None:
            self.kill(signal.SIGKILL)
            if not self._watch.wait(END_LIMIT):
                self._watch.kill()
                self._watch.wait(END_LIMIT)
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def clear(self) -> None:
        """Take its mounts and its files away, once it has ended."""
        self._ground.namespace.call(self._unmount)
        if self._network is not None:
            self._network.close()
        remove_tree(self._directory, END_LIMIT)

    def _unmount(self) -> None:
        for name in ("root", "work"):
            with contextlib.suppress(OSError):
                syscalls.unmount(str(self._directory / name))


class Command(Struct, frozen=True):
    """A command in a container: its streams, and the runtime's process that waits for it."""

    channel: PipeChannel
    process: subprocess.Popen[bytes]
    log: Path

    def words(self) -> str:
        """Why it could not be started, in the runtime's words; empty where it was."""
        return _words(self.log)


def left(place: Place) -> list[tuple[str, str]]:
    """The containers that there are, of whatever process, and the runs that made them."""
    found = []
    for directory in sorted(place.containers.iterdir()):
        run = ""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            run = str(json.loads((directory / _META).read_bytes()).get("run", ""))
        found.append((directory.name, run))
    return found


def remove_left(place: Place, known: runtime.Runtime, identifier: str) -> None:
    """End and remove a container of a process that is gone; its mounts go with its programs.

    Called among mounts of one's own, for the runtime may refuse the machine's cgroups.
    """
    directory = place.containers / identifier
    if directory.is_dir():
        argv = known.argv(directory / "state", directory / "log", "delete", "--force", identifier)
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(argv, capture_output=True, timeout=END_LIMIT)
    # The runtime that ran it notices a moment later, and makes the directory of its state again to look there.
    runtime.wait_for_others(identifier, END_LIMIT)
    remove_tree(directory, END_LIMIT)


def oom_kills() -> int:
    """Processes of this machine that the kernel has killed for want of memory (/proc/vmstat), those of cgroups too."""
    with contextlib.suppress(OSError, ValueError), open("/proc/vmstat", encoding="ascii") as table:
        for line in table:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _is_in(layers: Iterable[Path], path: str) -> bool:
    """Whether layers, the highest first, have a path, by itself or with what is above it."""
    for layer in layers:
        for step in (*reversed(Path(path).parents[:-1]), Path(path)):
            try:
                status = os.lstat(layer / step)
            except OSError:
                break
            if stat.S_ISCHR(status.st_mode) and not status.st_rdev:
                return False
        else:
            return True
    return False


def _kernel() -> tuple[int, int]:
    """The version of the kernel."""
    major, minor = re.findall(r"[0-9]+", os.uname().release)[:2]
    return int(major), int(minor)


def _locked(target: str) -> int:
    """The flags of a mount that a mount over it may not leave out in a user namespace (mount_namespaces(7))."""
    flags = os.statvfs(target).f_flag
    pairs = ((os.ST_NOSUID, syscalls.MS_NOSUID), (os.ST_NODEV, syscalls.MS_NODEV), (os.ST_NOEXEC, syscalls.MS_NOEXEC))
    return sum(own for seen, own in pairs if flags & seen)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _words(log: Path) -> str:
    """What a runtime wrote to its log, without times and levels."""
    try:
        text = log.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
    last = text.rpartition("\n")[2]
    return last.partition('msg="')[2].rstrip('"') if 'msg="' in last else last.partition("error: ")[2] or last


def _advice(words: str) -> str:
    """What to do about the runtime's words."""
    if "mount" in words and userns.in_container():
        return userns.container_advice()
    return "is the program in the image, and can it be run?" if "executable" in words or "exec" in words else ""
