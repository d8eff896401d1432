"""`canary`: lookups of tombstones are noted, and nothing that is wrong with the notes is the program's business."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.sensor.harness import TIMEOUT, until

MEMORY = Path("/dev/shm")
CUT = ("/usr/bin/tool", "/etc/räksmörgås.conf", "/usr/share/raw-\udcff")


class Home:
    """What a canary image has: the list, a place for notes, and tombstones."""

    def __init__(self, sensor: Path, directory: Path) -> None:
        self.sensor = sensor
        # In memory there is one place for each name of notes, and tests run beside each other.
        self.notes = directory / "notes" / f"test-{os.getpid()}-{directory.name}"
        self.memory = MEMORY / f".debloat-canary-{self.notes.name}"
        self.tombstones = [directory / f"tombstone{number}" for number in range(len(CUT))]
        self.list = directory / "list"
        self.notes.parent.mkdir()
        lines = ['{"format":"debloat-canary","version":1,"image":"sha256:1","path":', *map(json.dumps, CUT)]
        self.list.write_text("".join(f"{line}\n" for line in lines))
        for number, tombstone in enumerate(self.tombstones):
            tombstone.symlink_to(self.notes / "links" / str(number))

    def argv(self, *program: str) -> list[str]:
        return [str(self.sensor), "canary", str(self.list), str(self.notes), "--", *program]

    def run(self, *program: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Until the program has ended."""
        return subprocess.run(
            self.argv(*program),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            env={**os.environ, **(env or {})},
        )

    def noted(self) -> list[str]:
        """The paths of the notes, in the order in which they were written."""
        file = self.notes / "canary.jsonl"
        return [json.loads(line)["path"] for line in file.read_text().splitlines() if line] if file.exists() else []


@pytest.fixture
def home(sensor_binary: Path, tmp_path: Path) -> Iterator[Home]:
    made = Home(sensor_binary, tmp_path)
    try:
        yield made
    finally:
        shutil.rmtree(made.memory, ignore_errors=True)


def test_what_is_looked_up_is_noted_once(home: Home) -> None:
    """A lookup fails as that of a missing name does; what is never looked up is never noted, and a listing is none."""
    first, second, _ = map(str, home.tombstones)
    done = home.run("sh", "-c", f"ls -l {home.list.parent} >/dev/null; test -e {second} || cat {first} {first}; exit 3")
    assert done.returncode == 3
    assert done.stderr.count("No such file or directory") == 2
    assert done.stdout == ""
    until(lambda: len(home.noted()) == 2)
    assert set(home.noted()) == set(CUT[:2])  # in the order of lookups, or of the list if seen at one look
    assert home.run("cat", first).returncode == 1
    assert home.run("cat", str(home.tombstones[2])).returncode == 1
    until(lambda: len(home.noted()) == 3)
    assert home.noted()[2] == CUT[2]


def test_the_program_sees_nothing_of_the_watcher(home: Home) -> None:
    """Not as a child, not as a descriptor, not in its environment; its output ends when it ends."""
    done = home.run("sh", "-c", "wait; ls /proc/self/fd | wc -l; cat /proc/$$/task/$$/children; env", env={"A": "b"})
    assert done.returncode == 0
    count, _, rest = done.stdout.partition("\n")
    plain = subprocess.run(["sh", "-c", "ls /proc/self/fd | wc -l"], capture_output=True, text=True, check=True)
    assert count == plain.stdout.strip()
    assert "A=b\n" in rest
    assert "DEBLOAT" not in rest


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace of its own needs root")
def test_as_the_first_process(home: Home) -> None:
    """It has no child to wait for, and its end is the watcher's."""
    script = f"cat {home.tombstones[0]}; while [ ! -s {home.notes}/canary.jsonl ]; do sleep 0.05; done; echo $$; wait"
    argv = ["unshare", "--pid", "--fork", "--mount-proc", *home.argv("sh", "-c", script)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert home.noted() == [CUT[0]]


def test_a_file_that_is_created_at_a_tombstone(home: Home) -> None:
    """As at a name that is not there."""
    done = home.run("sh", "-c", f"echo new > {home.tombstones[0]} && cat {home.tombstones[0]}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "new\n", "")


def test_notes_on_standard_error(home: Home) -> None:
    """Where there is no way to a file; and no file is made then."""
    script = f"cat {home.tombstones[0]} 2>/dev/null; sleep 0.2"
    done = home.run("sh", "-c", script, env={"DEBLOAT_CANARY": "stderr"})
    assert [json.loads(line)["path"] for line in done.stderr.splitlines()] == [CUT[0]]
    assert not (home.notes / "canary.jsonl").exists()


def test_standard_error_that_is_closed(home: Home) -> None:
    program = home.argv("sh", "-c", f"test -e {home.tombstones[0]}; echo on; exit 4")
    argv = ["sh", "-c", 'exec "$@" 2>&-', "sh", *program]
    env = {**os.environ, "DEBLOAT_CANARY": "stderr"}
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False, env=env)
    assert (done.returncode, done.stdout) == (4, "on\n")


def test_turned_off(home: Home) -> None:
    done = home.run("sh", "-c", f"cat {home.tombstones[0]}", env={"DEBLOAT_CANARY": "off"})
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr
    assert not home.notes.exists()


def test_where_nothing_can_be_noted(home: Home) -> None:
    """No place for notes, no list: a line on standard error, and the program runs."""
    home.notes.parent.rmdir()
    done = home.run("sh", "-c", f"test ! -e {home.tombstones[0]} && echo on")
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert done.stderr == f"sensor: cannot note lookups in {home.notes}: ENOENT\n"
    home.list.unlink()
    assert home.run("true").returncode == 0


def test_a_place_that_is_another_users(home: Home) -> None:
    """Whoever made the links says what tombstones lead to: they are taken from nobody else."""
    if os.geteuid() != 0:
        pytest.skip("giving a directory away needs root")
    home.notes.mkdir()
    os.chown(home.notes, 33, 33)
    done = home.run("echo", "on")
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert "EPERM" in done.stderr


def test_links_on_the_volume(home: Home) -> None:
    """Where the memory is somebody else's: here a file is in its place."""
    home.memory.touch()
    try:
        home.run("cat", str(home.tombstones[1]))
        until(home.noted)
        assert home.noted() == [CUT[1]]
        assert (home.notes / "links").is_dir()
        assert not (home.notes / "links").is_symlink()
    finally:
        home.memory.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk(home: Home) -> None:
    """What cannot be written is tried again, and no line is torn."""
    place = home.notes.parent
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", place], check=True)
    try:
        full = place / "full"
        first, second, _ = map(str, home.tombstones)
        script = f"head -c 1M /dev/zero > {full}; cat {first}; sleep 1.2; rm {full}; cat {second}"
        assert home.run("sh", "-c", script).returncode == 1
        until(lambda: len(home.noted()) == 2)
        assert home.noted() == list(CUT[:2])
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize(
    ("program", "code", "says"),
    [(("no-such-program",), 127, "not found in PATH"), (("/",), 126, "EACCES"), ((), 2, "nothing to run")],
)
def test_a_program_that_cannot_be_started(home: Home, program: tuple[str, ...], code: int, says: str) -> None:
    done = home.run(*program)
    assert done.returncode == code
    assert says in done.stderr
