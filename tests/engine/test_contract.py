"""What every engine must do, asked of real ones: Docker's daemon, and debloat's own."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat.anatomy.layers import accounts
from debloat.cli.inspect import saved_layers
from debloat.core.errors import EngineUnavailable, UsageError
from debloat.core.model import Closure, Evidence, Image, ImageConfig
from debloat.cut import Part, carve_closure, divided
from debloat.debian.packages import NoPackages
from debloat.embedded.engine import connect as connect_embedded
from debloat.embedded.place import VARIABLE
from debloat.engine.base import ChannelClosed, ContainerSpec, Engine
from debloat.engine.docker import connect as connect_docker
from debloat.engine.run_id import new_run
from debloat.image.archive import archive
from debloat.profile.seccomp import profile
from tests.support.echo import ECHO, ECHO_READY, echoed
from tests.support.trees import tree

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

BASE = "debian:bookworm-slim"
IMAGE = "debloat-contract:1"
DOCKERFILE = f"""FROM {BASE}
RUN useradd --uid 4000 --groups games worker && mkdir /data && echo kept >/data/file && chown -R worker /data \\
 && ln -s /etc/passwd /data/link && rm /etc/issue
ENV GREETING="hello there" EMPTY=
WORKDIR /not/there/yet
VOLUME ["/data", "/new/volume"]
CMD ["sh", "-c", "echo $GREETING; echo wrong >&2; exit 7"]
"""


@pytest.fixture(scope="module")
def image() -> str:
    subprocess.run(["docker", "build", "-q", "-t", IMAGE, "-"], input=DOCKERFILE.encode(), check=True, timeout=200)
    return IMAGE


@pytest.fixture(scope="module", params=["docker", "embedded"])
def engine(request: pytest.FixtureRequest, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if request.param == "docker":
        daemon = connect_docker()
        yield daemon
        daemon.close()
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("store")))
        own = connect_embedded()
        try:
            archive = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
            assert archive.stdout is not None
            own.load(iter(lambda: archive.stdout.read(1 << 20), b""), image)  # type: ignore[union-attr]
            assert archive.wait() == 0
            yield own
        finally:
            own.close()


RUN = new_run()


@pytest.fixture(autouse=True)
def _nothing_left(engine: Engine) -> Iterator[None]:
    yield
    for leftover in engine.leftovers(RUN):
        engine.remove(leftover.id)


def spec(*argv: str, **more: object) -> ContainerSpec:
    return ContainerSpec(IMAGE, RUN, entrypoint=argv, **more)  # type: ignore[arg-type]


def output(engine: Engine, made: ContainerSpec) -> str:
    """What a container writes on standard output, to its end, which must be a good one."""
    container = engine.create(made)
    engine.start(container)
    assert engine.wait(container, 60) == 0, engine.logs(container)
    text = engine.logs(container)[0].decode()
    engine.remove(container)
    return text


def shell(engine: Engine, line: str, **more: object) -> str:
    return output(engine, spec("sh", "-c", line, **more))


def test_an_image_is_the_same_on_both(engine: Engine) -> None:
    shown = engine.image(IMAGE, pull=False)
    assert shown.identity == connect_docker().image(IMAGE).identity
    assert shown.config.env["GREETING"] == "hello there"
    assert shown.names == (IMAGE,)
    assert engine.image(shown.id, pull=False).layers == shown.layers


def test_what_each_layer_brought(engine: Engine, tmp_path: Path) -> None:
    with contextlib.closing(connect_docker()) as docker:
        expected = accounts(saved_layers(docker, docker.image(IMAGE), tmp_path / "docker.tar"))
    found = accounts(saved_layers(engine, engine.image(IMAGE, pull=False), tmp_path / "here.tar"))
    assert expected.layers[0].files > 1000
    for here, there in zip(found.layers, expected.layers, strict=True):
        assert replace(here, created_by="") == replace(there, created_by="")
    assert (found.buried, found.of) == (expected.buried, expected.of)


def test_an_image_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(UsageError, match="cannot find the image"):
        engine.image("debloat-nowhere:1", pull=False)


def test_the_end_of_a_program(engine: Engine) -> None:
    container = engine.create(ContainerSpec(IMAGE, RUN))
    engine.start(container)
    assert engine.wait(container, 60) == 7
    assert engine.logs(container) == (b"hello there\n", b"wrong\n")
    state = engine.state(container)
    assert (state.running, state.exit_code, state.oom_killed) == (False, 7, False)
    engine.kill(container, "SIGTERM")  # nothing is there to be killed
    engine.remove(container)
    engine.remove(container)


def test_a_program_that_is_not_there(engine: Engine) -> None:
    container = engine.create(spec("/no/such/program"))
    with pytest.raises((UsageError, EngineUnavailable), match=r"[Nn]o such file"):
        engine.start(container)


def test_a_seccomp_profile(engine: Engine) -> None:
    """A program starts under a profile that allows what none was seen to do; what it does not allow fails."""
    made = profile([], platform.machine(), frozenset())
    line = "cat /data/file; chown 0 /data/file 2>&1; mv /data/file /data/other; mkfifo /tmp/pipe 2>&1; ls /data"
    told = shell(engine, line, seccomp=made.document).splitlines()
    assert told[0] == "kept"
    assert told[1].endswith("'/data/file': Operation not permitted")
    assert told[2].endswith("'/tmp/pipe': Operation not permitted")
    assert told[3:] == ["link", "other"]
    container = engine.create(spec("sleep", "60", seccomp=made.document))
    engine.start(container)
    done = engine.run(container, ["mkfifo", "/tmp/other"], user="4000")
    assert (done.exit_code, done.stderr.rstrip()[-23:]) == (1, b"Operation not permitted")


def test_what_a_program_finds(engine: Engine) -> None:
    """Its variables, host name, working directory, arguments, user, groups, descriptors, privileges and mounts."""
    told = shell(
        engine,
        'pwd; echo "$PATH|$GREETING|$EMPTY|$MORE|$HOME"; id -u; id -G; hostname; ls -l /proc/self/fd | wc -l; '
        "grep -E '^(Cap(Prm|Eff|Bnd|Amb|Inh)|Seccomp|NoNewPrivs|Umask)' /proc/self/status; "
        "cut -d' ' -f5 /proc/self/mountinfo | grep -v cgroup | sort -u",
        env={"MORE": "x y"},
    )
    assert told == _as_docker(told, engine)
    assert "/not/there/yet\n" in told


FOUND: list[str] = []


def _as_docker(told: str, engine: Engine) -> str:
    """What Docker's container found, less its own name, which the first of the engines has left here."""
    lines = told.splitlines()
    lines[4] = f"{len(lines[4])} letters"
    FOUND.append("\n".join(lines))
    assert FOUND[0] == FOUND[-1]
    return told


@pytest.mark.parametrize(
    ("user", "groups", "uid", "gids"),
    [
        ("worker", (), "4000", "4000 60"),
        ("4000", (), "4000", "4000 60"),
        ("worker:games", (), "4000", "60"),
        ("1234", ("audio", "99"), "1234", "0 29 99"),
        ("1234:5678", (), "1234", "5678"),
    ],
)
def test_whose_a_program_is(engine: Engine, user: str, groups: tuple[str, ...], uid: str, gids: str) -> None:
    told = shell(engine, "id -u; id -G; echo written >/dev/stdout", user=user, group_add=groups).splitlines()
    assert told[0] == uid
    assert told[2] == "written"
    assert set(told[1].split()) == set(gids.split())


def test_a_user_that_the_image_lacks(engine: Engine) -> None:
    with pytest.raises((UsageError, EngineUnavailable), match="nobodyknows"):
        engine.start(engine.create(spec("true", user="nobodyknows")))


def test_capabilities_and_privileges(engine: Engine) -> None:
    ask = "grep -E 'CapEff|NoNewPrivs' /proc/self/status | cut -f2"
    assert shell(engine, ask, cap_drop=("ALL",)) == "0000000000000000\n0\n"
    assert shell(engine, ask, cap_drop=("ALL",), cap_add=("SYS_PTRACE",), no_new_privs=True) == f"{1 << 19:016x}\n1\n"
    assert shell(engine, ask, user="worker").startswith("0000000000000000\n")
    # What the profile refuses without the capability.
    assert shell(engine, "unshare -m true && echo done || true") == ""
    assert shell(engine, "unshare -m true && echo done || true", cap_add=("SYS_ADMIN",)) == "done\n"


def test_volumes(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from here\n")
    name = f"debloat-contract-{os.getpid()}"
    look = "cat /data/file; stat -c '%u %a' /data/file; readlink /data/link; ls -d /new/volume; cat /given/given"
    told = shell(engine, look + "; touch /given/x || true", volumes=(f"{tmp_path}:/given:ro",))
    assert told == "kept\n4000 644\n/etc/passwd\n/new/volume\nfrom here\n"
    assert not (tmp_path / "x").exists()
    shell(engine, "echo made >/given/made", volumes=(f"{tmp_path}:/given",))
    assert (tmp_path / "made").read_text() == "made\n"
    try:
        kept = (f"{name}:/data",)
        assert shell(engine, "cat /data/file; echo changed >/data/file", volumes=kept) == "kept\n"
        assert shell(engine, "cat /data/file; stat -c %u /data/file", volumes=kept) == "changed\n4000\n"
        assert shell(engine, "cat /data/file") == "kept\n"
    finally:
        subprocess.run(["docker", "volume", "rm", "-f", name], capture_output=True, timeout=60)


def test_a_root_that_cannot_be_written(engine: Engine) -> None:
    line = "touch /x && echo root; touch /data/x && echo volume; touch /run/x && echo tmpfs; stat -f -c %T /run; true"
    assert shell(engine, line, read_only=True, tmpfs=("/run:size=1m",)) == "volume\ntmpfs\ntmpfs\n"


def test_an_init(engine: Engine) -> None:
    assert shell(engine, "tr '\\0' ' ' </proc/1/cmdline | cut -d' ' -f1", init=True) == "/sbin/docker-init\n"


def test_networks(engine: Engine) -> None:
    look = "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '"
    assert shell(engine, look, network="none") == "lo\n"
    assert "127.0.0.1" in shell(engine, "cat /etc/hosts")
    assert shell(engine, "getent hosts $(hostname) | cut -d. -f1") == "172\n"
    assert shell(engine, "readlink /proc/self/ns/net", network="host") == f"{os.readlink('/proc/self/ns/net')}\n"


def test_ports_that_are_not_published(engine: Engine) -> None:
    assert engine.reaches("")
    container = engine.create(spec("perl", "-e", ECHO, init=True))
    engine.start(container)
    assert engine.run(container, ECHO_READY).exit_code == 0
    addresses = engine.state(container).addresses
    assert echoed(engine, container, addresses)[0].startswith("172.")
    with pytest.raises(EngineUnavailable, match="refused"):
        engine.dial(container, addresses, 81)


def running(engine: Engine, **more: object) -> str:
    container = engine.create(spec("sleep", "300", init=True, **more))
    engine.start(container)
    return container


def test_commands_in_a_container(engine: Engine) -> None:
    container = running(engine)
    done = engine.run(container, ["sh", "-c", "echo out; echo err >&2; id -u; exit 3"])
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"out\n0\n", b"err\n")
    assert engine.run(container, ["id", "-u"], user="worker").stdout == b"4000\n"
    assert engine.run(container, ["sh", "-c", "pwd; echo $GREETING"]).stdout == b"/not/there/yet\nhello there\n"
    assert engine.run(container, ["nosuchprogram"]).exit_code in (126, 127)
    with pytest.raises(TimeoutError):
        engine.run(container, ["sleep", "60"], timeout=0.3)


def test_a_command_with_streams(engine: Engine) -> None:
    container = running(engine)
    channel = engine.execute(container, ["sh", "-c", "echo ready; echo note >&2; cat"])
    assert channel.line(20) == "ready"
    channel.send(b"x" * 70_000)
    assert channel.read(70_000, 20) == b"x" * 70_000
    with pytest.raises(TimeoutError):
        channel.some(0.2)
    channel.end()
    with pytest.raises(ChannelClosed):
        channel.some(20)
    assert channel.errors() == b"note\n"
    channel.close()
    engine.kill(container, "SIGKILL")
    assert engine.wait(container, 20) == 137
    with pytest.raises((ChannelClosed, EngineUnavailable)):
        engine.execute(container, ["true"]).line(20)


def test_the_streams_of_the_program(engine: Engine) -> None:
    container = engine.create(spec("sh", "-c", "read word; echo got $word; exec cat", stdin=True, logs=False))
    channel = engine.attach(container)
    engine.start(container)
    channel.send(b"it\nmore")
    assert channel.line(20) == "got it"
    assert channel.read(4, 20) == b"more"
    channel.close()
    engine.remove(container)


def test_a_signal_by_any_name(engine: Engine) -> None:
    container = engine.create(
        spec("sh", "-c", "trap 'echo caught; exit 5' USR1; echo set; while :; do sleep 0.1; done")
    )
    engine.start(container)
    deadline = time.monotonic() + 20
    while not engine.logs(container)[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.wait(container, 0.05) is None
    assert engine.state(container).running
    assert engine.state(container).pid > 0
    engine.kill(container, "SIGUSR1")
    assert engine.wait(container, 20) == 5
    assert engine.logs(container)[0] == b"set\ncaught\n"


def test_output_is_bounded(engine: Engine) -> None:
    container = engine.create(spec("sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' a | fold -w 99; echo; echo last"))
    engine.start(container)
    assert engine.wait(container, 60) == 0
    text = engine.logs(container)[0]
    assert len(text) <= 1 << 20
    assert text.endswith(b"\nlast\n")


def tar_of(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid = len(text), 0o640, 4000
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def test_files_in_and_out(engine: Engine) -> None:
    """Before it starts, while it runs, and when it has ended; in a volume and beside one."""
    container = engine.create(spec("sh", "-c", "cat /data/put /opt/put; echo own >/data/own; echo x >/opt/own"))
    engine.put(container, "/data", tar_of(put="one\n"))
    engine.put(container, "/opt", tar_of(put="two\n"))
    engine.start(container)
    assert engine.wait(container, 60) == 0
    assert engine.logs(container)[0] == b"one\ntwo\n"
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.get(container, "/data")))) as tar:
        assert {m.name for m in tar} == {"data", "data/file", "data/link", "data/put", "data/own"}
        assert (tar.getmember("data/put").mode & 0o7777, tar.getmember("data/put").uid) == (0o640, 4000)
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.export(container)))) as tar:
        names = {m.name.removeprefix("./") for m in tar}
        assert {"opt/own", "usr/bin/dash", "etc/passwd"} <= names
        assert "etc/issue" not in names
    made = engine.changes(container)
    assert "/opt/own" in made
    assert "/etc/passwd" not in made


def test_layers_that_images_share_come_to_the_tree_of_the_one_layer(engine: Engine, tmp_path: Path) -> None:
    """Directories of shared layers say nothing true; the layer on top does, also of one in which it has no file."""
    table = {
        "/bin/x": ("0755", "x"),
        "/tmp/": ("1777 5:6", ""),
        "/root/": ("0700", ""),
        "/root/deep/f": "f",
        "/l": "-> x",
    }
    rootfs = tree(table)
    original = Image(
        "app:1", "sha256:1", "linux", "amd64", "", "2024-01-01T00:00:00Z", ImageConfig({"Cmd": ["/bin/x"]})
    )
    closure = Closure({entry.path: (Evidence("x", "probe:x"),) for entry in rootfs.entries()})
    single = carve_closure(rootfs, NoPackages(), original, closure, tmp_path)
    parts = [Part(["/root/deep/f"], "one"), Part(["/bin/x", "/l"], "two")]
    found = []
    for minimal in (single, divided(single, rootfs, original, parts, tmp_path)):
        name = f"debloat-pending:{RUN}"
        engine.load(archive(minimal.written, [name]), name)
        container = engine.create(ContainerSpec(name, RUN))
        with tarfile.open(fileobj=io.BytesIO(b"".join(engine.export(container)))) as tar:
            members = (
                (m.name.removeprefix("./").rstrip("/"), m.mode, m.uid, m.gid, m.size, m.linkname, m.mtime) for m in tar
            )
            mine = {path.lstrip("/") for path in closure.evidence} - {""}
            found.append(sorted(member for member in members if member[0] in mine))
        engine.remove(container)
        engine.untag(name)
    assert len(found[0]) == len(closure) - 1
    assert found[0] == found[1]


def test_links_of_an_image_lead_nowhere_else(engine: Engine, tmp_path: Path) -> None:
    """A directory that files are put into may be a link of a hostile image's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    container = engine.create(spec("sh", "-c", f"ln -s {outside} /data/way; exec sleep 300", init=True))
    engine.start(container)
    deadline = time.monotonic() + 20
    while engine.run(container, ["test", "-L", "/data/way"]).exit_code and time.monotonic() < deadline:
        time.sleep(0.01)
    with contextlib.suppress(EngineUnavailable):  # there is no such directory in the container
        engine.put(container, "/data/way", tar_of(put="one\n"))
    assert not list(outside.iterdir())


def test_what_a_run_leaves(engine: Engine) -> None:
    container = engine.create(spec("true"))
    pending = f"debloat-pending:{RUN}"
    engine.tag(IMAGE, pending)
    assert {(found.kind, found.run) for found in engine.leftovers(RUN)} == {("container", RUN), ("image", RUN)}
    assert engine.image(pending, pull=False).id == engine.image(IMAGE, pull=False).id
    engine.untag(pending)
    engine.untag(pending)
    engine.remove(container)
    assert not engine.leftovers(RUN)
    assert engine.image(IMAGE, pull=False)
