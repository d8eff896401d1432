"""What is measured with and without recording: services under load, and programs that do little but call the kernel."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from debloat.record.session import Session

BASE = "debian:bookworm-slim"
CONNECTIONS = 16
SECONDS = 4

Measure = Callable[[Session], float]
"""Seconds for a unit of work, asked of a running service."""


class Unmeasured(Exception):
    """This machine or image cannot do a workload; the message says why."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One comparison. A service has a `measure` and waits for `port`; a program (`script`) prints its nanoseconds.

    `bar` is what recording may cost at most, as a ratio; 0 where nothing is asked. `fixture` empty is the base image.
    """

    name: str
    fixture: str = ""
    bar: float = 0.0
    script: str = ""
    port: int = 0
    measure: Measure | None = None


def timed(work: str, *, before: str = "", times: int = 1) -> str:
    """A shell script that does some work so many times and prints the nanoseconds that it took."""
    loop = f"i=0; while [ $i -lt {times} ]; do {work}; i=$((i+1)); done"
    return f"{before + '; ' if before else ''}s=$(date +%s%N); {loop}; e=$(date +%s%N); echo $((e-s))"


def wrk_of(path: str, seconds: int = SECONDS) -> Measure:
    """Requests by `wrk`, inside the container's own network, so that the engine's proxy is not measured with it."""

    def measure(session: Session) -> float:
        wrk = shutil.which("wrk")
        if wrk is None:
            raise Unmeasured("wrk is not installed")
        load = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
        if os.geteuid() == 0 and shutil.which("nsenter"):
            argv = ["nsenter", "-t", str(session.state().pid), "-n", *load, f"http://127.0.0.1:80{path}"]
        else:
            argv = [*load, f"http://127.0.0.1:{session.ports['80/tcp']}{path}"]
        text = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
        rate = re.search(r"Requests/sec:\s*([0-9.]+)", text)
        if rate is None or "Non-2xx" in text:
            raise Unmeasured(f"wrk got no good answers: {text}")
        return 1 / float(rate[1])

    return measure


def _inside(command: str, pattern: str, user: str = "", setup: str = "") -> Measure:
    """A load generator of the image itself, run in the container and not recorded; `pattern` finds its rates."""

    def measure(session: Session) -> float:
        for line in (setup, command):
            argv = tuple(shlex.split(line))
            if argv:
                done = session.engine.run(session.container, argv, user=user, timeout=120)
                if done.exit_code:
                    raise Unmeasured(f"{argv[0]} ended with {done.exit_code}: {done.stderr.decode('utf-8', 'replace')}")
        rates = re.findall(pattern, done.stdout.decode("utf-8", "replace"))
        if not rates:
            raise Unmeasured(f"{command}: no rate in {done.stdout!r}")
        return sum(1 / float(rate) for rate in rates)

    return measure


_STAT = (
    'use Time::HiRes "time"; mkdir "/tmp/f"; for (1..20000) { open(F, ">", "/tmp/f/$_"); close F }'
    ' my $s = time; for (1..20000) { stat("/tmp/f/$_") } printf "%d\\n", (time - $s) * 1e9'
)
_PGBENCH = f"/usr/lib/postgresql/15/bin/pgbench -n -c 4 -j 1 -M prepared -T {SECONDS}"
_TPS = r"tps = ([0-9.]+)"
_FILL = "/usr/lib/postgresql/15/bin/pgbench -i -q -s 5"

WORKLOADS = (
    Workload("nginx, static page, at saturation", "nginx", 2.2, port=80, measure=wrk_of("/")),
    Workload(
        "redis, SET and GET",
        "redis",
        1.05,
        port=6379,
        measure=_inside(f"redis-benchmark -n 100000 -c {CONNECTIONS} -t set,get --csv", r'"[SG]ET","([0-9.]+)"'),
    ),
    Workload(
        "postgres, reads",
        "postgres",
        1.05,
        port=5432,
        measure=_inside(f"{_PGBENCH} -S postgres", _TPS, "postgres", f"{_FILL} postgres"),
    ),
    Workload(
        "postgres, updates",
        "postgres",
        1.05,
        port=5432,
        measure=_inside(f"{_PGBENCH} postgres", _TPS, "postgres", f"{_FILL} postgres"),
    ),
    Workload("shell, 1,000 programs", bar=1.5, script=timed("/bin/true", times=1000)),
    Workload("stat of 20,000 files", "perl", 3.5, script=f"exec perl -e {shlex.quote(_STAT)}"),
    Workload("python3 start-up", "flask", script=timed("python3 -c 'import json, http.client'", times=20)),
    Workload("node start-up", "node", script=timed("node -e 'require(\"http\")'", times=10)),
    Workload("perl start-up", "perl", script=timed("perl -e 'use POSIX; use JSON::PP'", times=20)),
    Workload("ruby start-up", "ruby", script=timed("ruby -e 'require \"json\"'", times=10)),
    Workload("php start-up", "php", script=timed("php -r 'echo 1;' >/dev/null", times=20)),
    Workload("java start-up", "java", script=timed("java -version 2>/dev/null", times=5)),
)
