"""In containers: the program cannot tell that it is recorded, and nothing of it is lost."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import tarfile
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.sensor.harness import Recording, read_events, read_state, until

docker = pytest.importorskip("docker")

pytestmark = pytest.mark.engine

LABEL = {"debloat.test": "sensor"}
CAPS = ["SYS_PTRACE", "SYS_ADMIN"]
PASSWD = b"""root:x:0:0:root:/root:/bin/sh
app:x:1000:1000::/home/app:/bin/sh
app:x:7:7::/wrong:
bad line
nohome:x:1001:1001:::
"""
GROUP = b"""root:x:0:
app:x:1000:
extra:x:2000:app,other
more:x:2001:other,app
none:x:2002:other
log:x:2003:
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    try:
        found = docker.from_env(timeout=60)
        found.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no container engine: {error}")
    yield found
    for container in found.containers.list(all=True, filters={"label": "debloat.test=sensor"}):
        container.remove(force=True, v=True)
    found.close()


@pytest.fixture(scope="module")
def image(client: Any, payload: Path) -> Iterator[str]:
    """A root file system with little more than the payload, some of its copies with privileges."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("tmp", "proc", "sys", "dev", "etc", "bin", "work", "root", "home", "home/app"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(info)

        def add(name: str, data: bytes, mode: int, **headers: str) -> None:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.pax_headers = len(data), mode, headers
            tar.addfile(info, io.BytesIO(data))

        # Version 2 of the attribute: effective, cap_net_raw permitted.
        capability = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
        program = payload.read_bytes()
        add("bin/payload", program, 0o755)
        add("bin/setuid", program, 0o4755)
        add("bin/capable", program, 0o755, **{"SCHILY.xattr.security.capability": capability.decode("latin-1")})
        add("etc/passwd", PASSWD, 0o644)
        add("etc/group", GROUP, 0o644)
        if tini := shutil.which("tini-static"):
            add("bin/tini", Path(tini).read_bytes(), 0o755)
    tag = f"debloat-test-sensor:{uuid.uuid4().hex[:12]}"
    repository, _, version = tag.partition(":")
    client.api.import_image_from_data(stream.getvalue(), repository=repository, tag=version)
    yield tag
    client.images.remove(tag, force=True)


@dataclass(frozen=True)
class Setup:
    """What a container is made with, and what of it the sensor is told."""

    user: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    sensor: tuple[str, ...] = ()
    drop: str = "sys_ptrace,sys_admin"
    program: tuple[str, ...] = ("/bin/payload",)


@dataclass
class Containers:
    client: Any
    image: str
    sensor: bytes

    @contextlib.contextmanager
    def created(self, argv: list[str], user: str, **options: Any) -> Iterator[Any]:
        container = self.client.containers.create(
            self.image,
            entrypoint=argv,
            user=user,
            labels=LABEL,
            network_mode="none",
            volumes=["/.debloat"],
            working_dir="/work",
            **options,
        )
        try:
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as tar:
                info = tarfile.TarInfo("sensor")
                info.size, info.mode = len(self.sensor), 0o755
                tar.addfile(info, io.BytesIO(self.sensor))
                info = tarfile.TarInfo("trace")
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            container.put_archive("/.debloat", stream.getvalue())
            yield container
        finally:
            container.remove(force=True, v=True)

    def plain(self, setup: Setup, *arguments: str) -> tuple[int, str]:
        with self.created([*setup.program, *arguments], setup.user, **setup.options) as container:
            container.start()
            return self.finished(container)

    def argv(self, setup: Setup, mechanism: str, scope: str = "main") -> list[str]:
        user = ["--user", setup.user] if setup.user else []
        head = ["/.debloat/sensor", "record", "--mechanism", mechanism, "--scope", scope, "--drop-caps", setup.drop]
        return [*head, *user, *setup.sensor, "--"]

    def recorded(self, setup: Setup, mechanism: str, *arguments: str) -> tuple[int, str, Recording]:
        with self.recording(setup, mechanism, *arguments) as container:
            container.start()
            code, out = self.finished(container)
            return code, out, self.trace(container)

    @contextlib.contextmanager
    def recording(self, setup: Setup, mechanism: str, *arguments: str) -> Iterator[Any]:
        options = dict(setup.options)
        options["cap_add"] = [*options.pop("cap_add", []), *CAPS]
        argv = [*self.argv(setup, mechanism), *setup.program, *arguments]
        with self.created(argv, "0:0", **options) as container:
            yield container

    def finished(self, container: Any) -> tuple[int, str]:
        code = container.wait(timeout=30)["StatusCode"]
        return code, container.logs().decode(errors="replace")

    def trace(self, container: Any, name: str = "main") -> Recording:
        pieces, _ = container.get_archive("/.debloat/trace")
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
            files = {m.name.rpartition("/")[2]: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]
        header, events = read_events(files[f"{name}.events"])
        return Recording(0, "", "", header, events, read_state(files[f"{name}.state"]))


@pytest.fixture(scope="module")
def containers(client: Any, image: str, sensor_binary: Path) -> Containers:
    return Containers(client, image, sensor_binary.read_bytes())


SETUPS = {
    "root": Setup(),
    "name-with-groups": Setup("app"),
    "number-with-groups": Setup("1000"),
    "number-of-no-one": Setup("4242"),
    "number-and-group": Setup("4242:4343"),
    "name-and-group": Setup("app:log"),
    "group-only": Setup(":log"),
    "user-without-home": Setup("nohome"),
    "home-set": Setup("app", {"environment": {"HOME": "/elsewhere"}}),
    "home-set-to-roots": Setup("app", {"environment": ["A=1", "HOME=/root"]}, ("--keep-home",)),
    "group-add": Setup("app", {"group_add": ["2002", "log"]}, ("--group-add", "2002,log")),
    "no-capabilities": Setup(
        "app",
        {"cap_drop": ["ALL"], "cap_add": []},
        drop="sys_ptrace,sys_admin,setuid,setgid,setpcap,dac_override,chown",
    ),
    "more-capabilities": Setup("", {"cap_add": ["NET_ADMIN"], "cap_drop": ["MKNOD"]}),
    "keeps-sys-admin": Setup("", {"cap_add": ["SYS_ADMIN"]}, drop="sys_ptrace"),
    "read-only": Setup("app", {"read_only": True, "tmpfs": {"/tmp": ""}}),
    "init": Setup("app", {"init": True}),
    "no-new-privileges": Setup("app", {"security_opt": ["no-new-privileges"]}, ("--no-new-privs",)),
    "terminal": Setup("app", {"tty": True}),
    "setuid-program": Setup("app", program=("/bin/setuid",)),
    "capable-program": Setup("app", program=("/bin/capable",)),
    "through-path": Setup("app", {"environment": {"PATH": "/nowhere:/bin"}}, program=("payload",)),
}


def compare(containers: Containers, setup: Setup) -> tuple[tuple[int, str], tuple[int, str], Recording]:
    plain = containers.plain(setup, "surroundings")
    options = dict(setup.options)
    if "ALL" in options.get("cap_drop", []):
        options["cap_add"] = ["SETUID", "SETGID", "SETPCAP", "DAC_OVERRIDE", "CHOWN"]
    recorded = Setup(setup.user, options, setup.sensor, setup.drop, setup.program)
    code, out, trace = containers.recorded(recorded, "notify", "surroundings")
    return plain, (code, out), trace


@pytest.fixture(scope="module")
def compared(containers: Containers) -> Iterator[dict[str, Future[Any]]]:
    """Each setup without and with the sensor; several at a time, as most of it is waiting for the engine."""
    with ThreadPoolExecutor(6) as pool:
        yield {name: pool.submit(compare, containers, setup) for name, setup in SETUPS.items()}


@pytest.mark.parametrize("name", SETUPS)
def test_surroundings(compared: dict[str, Future[Any]], name: str) -> None:
    """Identity, groups, capability sets, signals, descriptors, environment, directory: all as without the sensor."""
    plain, recorded, trace = compared[name].result(timeout=60)
    assert plain[0] == 0, plain
    assert (recorded[0], recorded[1].splitlines()) == (0, plain[1].splitlines())
    assert trace.paths("open") >= {"/proc/self/status"}
    assert (trace.state.unread, trace.state.unresolved, trace.state.unwritten) == (0, 0, 0)
    assert (trace.state.mechanism, trace.state.forced_no_new_privs) == (1, 0)


@pytest.mark.parametrize("name", ["root", "name-with-groups", "setuid-program", "init"])
def test_surroundings_under_ptrace(containers: Containers, name: str) -> None:
    setup = SETUPS[name]
    expected = [line for line in containers.plain(setup, "surroundings")[1].splitlines() if "TracerPid" not in line]
    code, out, trace = containers.recorded(setup, "ptrace", "surroundings")
    assert (code, [line for line in out.splitlines() if "TracerPid" not in line]) == (0, expected)
    assert trace.state.mechanism == 2


def test_other_users_are_read(containers: Containers, mechanism: str) -> None:
    code, _, trace = containers.recorded(Setup(), mechanism, "as-user", "1000", "/x/as-app")
    assert code == 0
    assert trace.about("/x/as-app") == [("access", "-", "/x/as-app")]
    assert trace.state.unread == 0


@pytest.mark.parametrize("options", [{}, {"init": True}, {"read_only": True}], ids=str)
def test_reaping_and_exit_code(containers: Containers, mechanism: str, options: dict[str, Any]) -> None:
    code, out, _ = containers.recorded(Setup(options=options), mechanism, "reap")
    assert code == 0
    reaped = 5 if options.get("init") else 20
    assert out.startswith(f"reaped {reaped} errno 10 "), out
    code, _, trace = containers.recorded(Setup(options=options), mechanism, "touch", "/x/y")
    assert code == 3
    assert trace.about("/x/y")


@pytest.mark.parametrize("wrapped", ["plain", "init", "tini"])
def test_stop_signal(containers: Containers, mechanism: str, wrapped: str) -> None:
    if wrapped == "tini" and not shutil.which("tini-static"):
        pytest.skip("no tini")
    program = ("/bin/tini", "--", "/bin/payload") if wrapped == "tini" else ("/bin/payload",)
    setup = Setup("app", {"init": True} if wrapped == "init" else {}, program=program)
    with containers.recording(setup, mechanism, "trap", "/tmp/ready") as container:
        container.start()
        until(lambda: any(c["Path"] == "/tmp/ready" for c in container.diff()))
        container.stop(timeout=20)
        code, _ = containers.finished(container)
        trace = containers.trace(container)
    assert code == 42
    assert trace.about("/tmp/ready") == [("open", "wc", "/tmp/ready")]


def test_killed_container_loses_nothing(containers: Containers, mechanism: str) -> None:
    with containers.recording(Setup(), mechanism, "trap", "/tmp/ready") as container:
        container.start()
        until(lambda: any(c["Path"] == "/tmp/ready" for c in container.diff()))
        container.kill()
        containers.finished(container)
        trace = containers.trace(container)
    assert trace.about("/tmp/ready") == [("open", "wc", "/tmp/ready")]


def test_exec(containers: Containers, mechanism: str) -> None:
    """A command in the running container: recorded apart, its exit code kept, its end not waited for by PID 1."""
    setup = Setup("app")
    with containers.recording(setup, mechanism, "trap", "/tmp/ready") as container:
        container.start()
        until(lambda: any(c["Path"] == "/tmp/ready" for c in container.diff()))
        argv = [*containers.argv(setup, mechanism, "probe"), "/bin/payload", "touch", "/x/by-exec"]
        assert container.exec_run(argv, user="0:0").exit_code == 3
        argv = [*containers.argv(setup, mechanism, "around"), "/bin/payload", "surroundings"]
        recorded = container.exec_run(argv, user="0:0")
        assert recorded.exit_code == 0
        with containers.created(["/bin/payload", "trap", "/tmp/ready"], "app") as other:
            other.start()
            plain = other.exec_run(["/bin/payload", "surroundings"], user="app")
        assert plain.exit_code == 0

        def comparable(output: bytes) -> list[bytes]:
            return [line for line in output.splitlines() if mechanism == "notify" or b"TracerPid" not in line]

        assert comparable(recorded.output) == comparable(plain.output)
        control = container.exec_run(["/bin/payload", "touch", "/x/unrecorded"], user="app")
        assert control.exit_code == 3
        container.stop(timeout=20)
        assert containers.finished(container)[0] == 42
        probe, main = containers.trace(container, "probe"), containers.trace(container)
    assert probe.about("/x/by-exec") == [("access", "-", "/x/by-exec")]
    assert not main.about("/x/")
    assert main.about("/tmp/ready")


def test_default_profile_without_privileges(containers: Containers, mechanism: str) -> None:
    """With nothing added a filter can be had by giving up new privileges, and that is told."""
    setup = Setup("", drop="")
    with containers.created([*containers.argv(setup, mechanism), "/bin/payload", "touch", "/x/y"], "0:0") as container:
        container.start()
        code, out = containers.finished(container)
        trace = containers.trace(container)
    assert (code, out) == (3, "")
    assert trace.about("/x/y") == [("access", "-", "/x/y")]
    assert trace.state.forced_no_new_privs == 1
    assert trace.state.unread == 0


def test_unknown_user(containers: Containers) -> None:
    code, out, _ = 0, "", None
    with containers.recording(Setup("nobody-here"), "notify", "touch", "/x") as container:
        container.start()
        code, out = containers.finished(container)
    assert code == 125
    assert out == "sensor: cannot find user nobody-here: no matching entries in passwd file\n"


def test_serve_in_a_container(containers: Containers) -> None:
    """The reader's way: standard input and output of a container that runs nothing else."""
    with containers.created(["/.debloat/sensor", "serve"], "0:0", cap_add=["SYS_ADMIN"], stdin_open=True) as container:
        socket = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        container.start()
        raw = socket._sock
        raw.settimeout(30)
        raw.sendall(b"index\nread 1\n/etc/group\0quit\n")
        received = b""
        while piece := raw.recv(65536):
            received += piece
        socket.close()
        container.wait(timeout=30)
    out, at = b"", 0
    while at < len(received):
        kind, size = received[at], int.from_bytes(received[at + 4 : at + 8], "big")
        assert kind == 1, received[at:]
        out, at = out + received[at + 8 : at + 8 + size], at + 8 + size
    from tests.sensor.test_serve import parse_index, read_answers

    entries, rest = parse_index(out)
    assert {b"/", b"/bin/payload", b"/etc/passwd", b"/work"} <= set(entries)
    assert not any(p.startswith((b"/.debloat", b"/proc/", b"/sys/")) for p in entries)
    assert entries[b"/bin/setuid"].mode == 0o4755
    assert b"security.capability" in entries[b"/bin/capable"].xattrs
    assert not any(e.kind == "m" for e in entries.values())
    assert read_answers(rest, 1) == [(0, GROUP)]


def test_doctor_in_a_container(containers: Containers) -> None:
    with containers.created(["/.debloat/sensor", "doctor"], "0:0", cap_add=CAPS) as container:
        container.start()
        code, out = containers.finished(container)
    found = dict(line.split(" ", 1) for line in out.splitlines())
    assert code == 0
    assert (found["notify"], found["ptrace"], found["cap_sys_admin"]) == ("yes", "yes", "yes")
    assert found["kernel"] == os.uname().release or found["kernel"]
