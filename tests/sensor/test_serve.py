"""The framed protocol of `serve`: index and contents of a root file system."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sensor.harness import TIMEOUT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and devices are made")


@dataclass(frozen=True, slots=True)
class Served:
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    nlink: int
    device: int
    inode: int
    rdev: tuple[int, int]
    target: bytes
    xattrs: dict[bytes, bytes]


def parse_index(data: bytes) -> tuple[dict[bytes, Served], bytes]:
    """Entries by path, and what follows the index."""
    entries: dict[bytes, Served] = {}
    at = 0

    def text() -> bytes:
        nonlocal at
        end = data.index(b"\0", at)
        piece, at = data[at:end], end + 1
        return piece

    while meta := text():
        fields = meta.decode().split(" ")
        assert len(fields) == 12
        path, target = text(), text()
        uid, gid, size, mtime, nlink, device, inode, major, minor, count = map(int, fields[2:])
        xattrs = {text(): bytes.fromhex(text().decode()) for _ in range(count)}
        assert path not in entries
        entries[path] = Served(
            fields[0], int(fields[1], 8), uid, gid, size, mtime, nlink, device, inode, (major, minor), target, xattrs
        )
    return entries, data[at:]


@pytest.fixture
def tree(sensor_binary: Path, tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / ".debloat").mkdir(parents=True)
    (root / ".debloat" / "sensor").write_bytes(sensor_binary.read_bytes())
    (root / ".debloat" / "sensor").chmod(0o755)
    for name in ("proc", "a/b/c", "covered", "empty"):
        (root / name).mkdir(parents=True)
    (root / "a" / "file").write_bytes(b"contents\0of a file\n" * 50000)
    (root / "a" / "small").write_bytes(b"x")
    (root / "a" / "nothing").write_bytes(b"")
    os.link(root / "a" / "file", root / "a" / "b" / "hard")
    (root / "a" / "link").symlink_to("b/../file")
    (root / "a" / "dangling").symlink_to("/nowhere")
    (root / "a" / "outside").symlink_to("../../../../../../etc")
    os.mkfifo(root / "a" / "fifo")
    os.mknod(root / "a" / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(root / "a" / "disk", stat.S_IFBLK | 0o600, os.makedev(259, 70000))
    os.mknod(root / "a" / "socket", stat.S_IFSOCK | 0o644)
    for odd in (b"new\nline", b"tab\tand space", b"\xff\xfe", "ünï".encode(), b"n" * 255, b".debloat"):
        (Path(os.fsdecode(os.fsencode(root / "a") + b"/" + odd))).write_bytes(odd)
    (root / "a" / "setuid").write_bytes(b"")
    os.chown(root / "a" / "setuid", 1000, 50)
    (root / "a" / "setuid").chmod(0o4755)
    (root / "a" / "b").chmod(0o1777)
    os.utime(root / "a" / "small", ns=(0, 1234567890123456789))
    os.utime(root / "a" / "nothing", ns=(0, -1500000000))
    os.setxattr(root / "a" / "small", "user.empty", b"")
    os.setxattr(root / "a" / "small", "user.bytes", bytes(range(256)))
    (root / "covered" / "below").write_bytes(b"below the mount")
    return root


def serve(tree: Path, request: bytes, can_mount: bool) -> bytes:
    """`serve` in `tree` as its root, with a file system mounted on /covered."""
    script = 'mount --bind "$0" "$0" && mount -t tmpfs none "$0/covered" && : >"$0/covered/above" && '
    keep = [] if can_mount else ["setpriv", "--bounding-set=-sys_admin", "--"]
    argv: list[str | Path] = ["unshare", "--mount", "sh", "-c", script + 'cd "$0" && exec "$@"', tree]
    done = subprocess.run(
        [*argv, *keep, "chroot", tree, "/.debloat/sensor", "serve"],
        input=request,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def test_index(tree: Path) -> None:
    entries, rest = parse_index(serve(tree, b"index\nquit\n", can_mount=True))
    assert rest == b""
    expected = {b"/"}
    base = os.fsencode(tree)
    for directory, names, files in os.walk(base):
        expected |= {os.path.join(directory, n)[len(base) :] for n in (*names, *files)}
    assert set(entries) == {p for p in expected if p != b"/.debloat" and not p.startswith(b"/.debloat/")}
    assert b"/a/.debloat" in entries, "only the sensor's own directory is left out"
    kinds = {
        stat.S_IFREG: "f",
        stat.S_IFDIR: "d",
        stat.S_IFLNK: "l",
        stat.S_IFIFO: "p",
        stat.S_IFCHR: "c",
        stat.S_IFBLK: "b",
    }
    for path, entry in entries.items():
        there = os.lstat(base + path)
        assert entry.kind == kinds.get(stat.S_IFMT(there.st_mode), "s"), path
        assert (entry.mode, entry.uid, entry.gid) == (stat.S_IMODE(there.st_mode), there.st_uid, there.st_gid)
        assert (entry.size, entry.mtime_ns) == (there.st_size, there.st_mtime_ns)
        assert (entry.device, entry.inode) == (there.st_dev, there.st_ino)
        assert entry.nlink == there.st_nlink or path == b"/"
        assert entry.rdev == (os.major(there.st_rdev), os.minor(there.st_rdev))
        assert entry.target == (os.readlink(base + path) if entry.kind == "l" else b"")
    assert entries[b"/a/small"].xattrs == {b"user.empty": b"", b"user.bytes": bytes(range(256))}
    assert entries[b"/a/nothing"].mtime_ns == -1500000000
    assert entries[b"/a/file"].inode == entries[b"/a/b/hard"].inode


def test_index_without_the_right_to_mount(tree: Path) -> None:
    """The root as it is: what is mounted over it hides what the image has there, and is said to."""
    entries, _ = parse_index(serve(tree, b"index\nquit\n", can_mount=False))
    assert entries[b"/covered"].kind == "m"
    assert not {b"/covered/below", b"/covered/above"} & set(entries)
    assert entries[b"/a/small"].kind == "f"


def read_answers(data: bytes, count: int) -> list[tuple[int, bytes]]:
    answers = []
    for _ in range(count):
        status, size = struct.unpack_from("<BQ", data)
        answers.append((status, data[9 : 9 + size]))
        data = data[9 + size :]
    assert data == b""
    return answers


@pytest.mark.parametrize("can_mount", [True, False])
def test_read(tree: Path, can_mount: bool) -> None:
    paths = {
        b"/a/file": (0, (tree / "a" / "file").read_bytes()),
        b"/a/nothing": (0, b""),
        b"/a/new\nline": (0, b"new\nline"),
        b"/a/\xff\xfe": (0, b"\xff\xfe"),
        b"/a/link": (22, b""),
        b"/a/fifo": (22, b""),
        b"/a/null": (22, b""),
        b"/a": (21, b""),
        b"/missing": (2, b""),
        b"/a/outside/passwd": (2, b""),
        b"/../../../../../etc/passwd": (2, b""),
        b"/" + b"x/" * 3000: (36, b""),
        b"/covered/below": (0, b"below the mount") if can_mount else (2, b""),
        b"/a/small": (0, b"x"),
    }
    request = b"read %d\n" % len(paths) + b"".join(p + b"\0" for p in paths) + b"read 0\nquit\n"
    answers = read_answers(serve(tree, request, can_mount), len(paths))
    assert dict(zip(paths, answers, strict=True)) == paths


def test_many_reads_in_one_request(tree: Path) -> None:
    request = b"read 5000\n" + b"/a/small\0" * 5000 + b"quit\n"
    assert read_answers(serve(tree, request, can_mount=True), 5000) == [(0, b"x")] * 5000


def test_beginnings_of_files(tree: Path) -> None:
    whole = (tree / "a" / "file").read_bytes()
    assert len(whole) > 3
    request = b"read 3 3\n/a/file\0/a/small\0/missing\0read 1 0\n/a/file\0read 1\n/a/file\0quit\n"
    answers = read_answers(serve(tree, request, can_mount=True), 5)
    assert answers == [(0, whole[:3]), (0, b"x"), (2, b""), (0, b""), (0, whole)]


@pytest.mark.slow
def test_deep_tree(tree: Path) -> None:
    """Deeper than descriptors are allowed at first, and paths longer than PATH_MAX."""
    deep = tree / "deep"
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("name", dir_fd=here)
        below = os.open("name", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        entries, _ = parse_index(serve(tree, b"index\nquit\n", can_mount=True))
        assert b"/deep" + b"/name" * 1500 in entries
    finally:
        # Too deep for shutil.rmtree, with which pytest cleans up.
        subprocess.run(["rm", "-rf", deep], check=True)


def test_requests_that_break_the_protocol_end_it(tree: Path) -> None:
    for request in (b"what\n", b"read x\n", b"read 2\n/a/small\0"):
        argv: list[str | Path] = ["unshare", "--mount", "chroot", tree, "/.debloat/sensor", "serve"]
        done = subprocess.run(argv, input=request, capture_output=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 125
        assert done.stderr.startswith(b"sensor: ")


def test_an_image_that_is_mounted_elsewhere(sensor_binary: Path, tmp_path: Path) -> None:
    """A directory as the root: what lies beside it is not seen, and no link leads out of it."""
    (tmp_path / "image" / "etc").mkdir(parents=True)
    (tmp_path / "image" / "etc" / "motd").write_bytes(b"inside")
    (tmp_path / "image" / "out").symlink_to("/../secret")
    (tmp_path / "secret").write_bytes(b"outside")
    done = subprocess.run(
        [sensor_binary, "serve", tmp_path / "image"],
        input=b"index\nread 2\n/etc/motd\0/secret\0quit\n",
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
    )
    entries, rest = parse_index(done.stdout)
    assert set(entries) == {b"/", b"/etc", b"/etc/motd", b"/out"}
    assert read_answers(rest, 2) == [(0, b"inside"), (errno.ENOENT, b"")]


def test_a_root_that_is_not_there(sensor_binary: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sensor_binary, "serve", tmp_path / "none"], input=b"", capture_output=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 125
    assert done.stderr == f"sensor: cannot enter {tmp_path}/none\n".encode()


def on_layers(sensor: Path, view: Path, layers: list[Path], request: bytes) -> subprocess.CompletedProcess[bytes]:
    view.mkdir()
    argv: list[str | Path] = [sensor, "serve", view, *layers]
    return subprocess.run(argv, input=request, capture_output=True, timeout=TIMEOUT, check=False)


def test_layers_over_each_other(sensor_binary: Path, tmp_path: Path) -> None:
    """The uppermost first: a whiteout, an opaque directory, a file in place of another, a link that leads nowhere."""
    low, middle, top = (tmp_path / name for name in ("low", "middle", "top"))
    for directory in (low / "kept", low / "hidden", middle / "hidden", top / "kept"):
        directory.mkdir(parents=True)
    (low / "kept" / "low").write_bytes(b"low")
    (low / "kept" / "both").write_bytes(b"below")
    (low / "kept" / "gone").write_bytes(b"gone")
    (low / "hidden" / "below").write_bytes(b"below")
    (low / "host").symlink_to("/etc")
    os.setxattr(middle / "hidden", "trusted.overlay.opaque", b"y")
    (middle / "hidden" / "new").write_bytes(b"new")
    (top / "kept" / "both").write_bytes(b"above")
    os.mknod(top / "kept" / "gone", stat.S_IFCHR, 0)
    request = b"index\nread 3\n/kept/both\0/kept/gone\0/host/passwd\0quit\n"
    done = on_layers(sensor_binary, tmp_path / "view", [top, middle, low], request)
    assert (done.returncode, done.stderr) == (0, b"")
    entries, rest = parse_index(done.stdout)
    assert set(entries) == {b"/", b"/kept", b"/kept/low", b"/kept/both", b"/hidden", b"/hidden/new", b"/host"}
    assert read_answers(rest, 3) == [(0, b"above"), (errno.ENOENT, b""), (errno.ENOENT, b"")]
    assert list((tmp_path / "view").iterdir()) == [], "the mount is the process's own"


def test_a_single_layer(sensor_binary: Path, tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "file").write_bytes(b"it")
    done = on_layers(sensor_binary, tmp_path / "view", [tmp_path / "layer"], b"index\nread 1\n/file\0quit\n")
    entries, rest = parse_index(done.stdout)
    assert set(entries) == {b"/", b"/file"}
    assert read_answers(rest, 1) == [(0, b"it")]


def test_more_layers_than_docker_allows(sensor_binary: Path, tmp_path: Path) -> None:
    """Docker allows 128; all their names go into one page."""
    layers = [tmp_path / f"layer-of-a-long-name-{number}" for number in range(140)]
    for number, layer in enumerate(layers):
        layer.mkdir()
        (layer / str(number)).write_bytes(b"")
    done = on_layers(sensor_binary, tmp_path / "view", layers, b"index\nquit\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(parse_index(done.stdout)[0]) == 141


def test_layers_that_cannot_be_laid_over_each_other(sensor_binary: Path, tmp_path: Path) -> None:
    done = on_layers(sensor_binary, tmp_path / "view", [tmp_path / "missing"], b"index\n")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr == b"sensor: cannot open the layer " + os.fsencode(tmp_path / "missing") + b": ENOENT\n"
