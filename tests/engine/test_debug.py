"""`debug` beside a container of a real engine: its processes, its network, its files; nothing is left."""

from __future__ import annotations

import subprocess
import sys
import uuid

import pytest


def docker(*argv: str) -> str:
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def beside(container: str) -> list[str]:
    """The containers, ended or not, that see the processes of another. Others may come and go meanwhile."""
    ids = docker("ps", "-aq", "--filter", "label=debloat.run").split()
    argv = ["docker", "inspect", "-f", "{{.HostConfig.PidMode}}", *ids]
    modes = subprocess.run(argv, capture_output=True, text=True, timeout=120).stdout.split("\n") if ids else []
    return [mode for mode in modes if mode == f"container:{container}"]


@pytest.mark.engine
def test_beside_a_container_of_docker() -> None:
    name = f"debloat-debugged-{uuid.uuid4().hex[:12]}"
    base = "debian:bookworm-slim"
    argv = ("run", "-d", "--name", name, "--hostname", "inside", base, "sh", "-c", "echo x >/here; exec sleep 300")
    container = docker(*argv)

    def debug(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "debloat", "debug", "--image", base, name, *command]
        return subprocess.run(argv, input=given, capture_output=True, text=True, timeout=120)

    try:
        told = debug("sh", "-c", "cat /proc/1/root/here; tr '\\0' ' ' </proc/1/cmdline; echo; exit 7")
        assert (told.returncode, told.stdout) == (7, "x\nsleep 300 \n"), told.stderr
        network = debug("readlink", "/proc/self/ns/net", "/proc/1/ns/net").stdout.split()
        assert network[0] == network[1]
        typed = debug(given="echo one; echo two >&2\n[ -e /here ] || echo apart\n")
        assert (typed.returncode, typed.stdout) == (0, "one\napart\n")
        assert typed.stderr.endswith("two\n")
        assert beside(container) == []
        assert docker("inspect", "-f", "{{.State.Running}}", container) == "true"
        docker("stop", "-t", "0", name)
        assert "it does not run" in debug("true").stderr
    finally:
        docker("rm", "-f", name)
    assert "cannot find the container" in debug("true").stderr


@pytest.mark.engine
def test_what_is_looked_up_in_vain() -> None:
    """From the tools' root and from within the container's; what the tools or the container have is not missed."""
    name, base = f"debloat-debugged-{uuid.uuid4().hex[:12]}", "debian:bookworm-slim"
    label = f"LABEL org.opencontainers.image.base.name={base}"
    gone = ("/usr/bin/tac", "/usr/bin/more", "/etc/debian_version", "/etc/issue", "/etc/issue.net")
    docker("run", "--name", f"{name}-cut", base, "rm", *gone)
    script = """
        cd /proc/1/root/etc
        cat debian_version none issue hostname /etc/issue.net
        cat 3<. /proc/self/fd/3/../usr/bin/none
        chroot /proc/1/root sh -c 'more; cd /usr/bin; cat tac'
        exit 4
    """
    try:
        docker("commit", "--change", label, f"{name}-cut", name)
        docker("run", "-d", "--name", name, name, "sh", "-c", "echo own >/etc/issue; exec sleep 300")
        argv = [sys.executable, "-m", "debloat", "debug", name, "sh", "-c", script]
        told = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        assert told.returncode == 4, told.stderr
        listed = [line.split()[0] for line in told.stderr.splitlines() if line.startswith("  /")]
        assert listed == ["/etc/debian_version", "/usr/bin/more", "/usr/bin/tac"], told.stderr
        assert "  /usr/bin/tac (coreutils)\n" in told.stderr
        left = [line.split()[-2:] for line in docker("top", name, "-o", "pid,args").splitlines()[1:]]
        assert left == [["sleep", "300"]], "no process of the sensor is left with it"
    finally:
        docker("rm", "-f", name, f"{name}-cut")
        docker("rmi", "-f", name)
