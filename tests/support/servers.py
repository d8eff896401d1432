"""Servers of Debian's packages as plain processes on the loopback, each in a directory of its own.

A server that refuses to run as root, or must not, runs as the user that its package made.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

READY = 30.0
"""Seconds within which a server listens."""
PASSWORD = "sesame"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def program(name: str) -> str:
    """The path of a program; the test is skipped where its package is not installed (`.ci/run` installs all)."""
    for pattern in (f"usr/bin/{name}", f"usr/sbin/{name}", f"usr/lib/postgresql/*/bin/{name}"):
        for path in sorted(Path("/").glob(pattern), reverse=True):
            return str(path)
    pytest.skip(f"{name} is not installed")


def owned(path: Path, user: str) -> str | None:
    """Give a path to a user, where root runs this: the user to run as, else None."""
    if os.geteuid() != 0:
        return None
    shutil.chown(path, user)
    return user


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A directory that every user may enter, as those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="debloat-server-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def run(argv: Sequence[str], user: str | None, env: Mapping[str, str] | None = None) -> None:
    group = pwd.getpwnam(user).pw_gid if user else None
    subprocess.run(argv, user=user, group=group, env=env, check=True, capture_output=True, timeout=120)


@contextlib.contextmanager
def serving(
    argv: Sequence[str], port: int, log: Path, user: str | None = None, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A server while it listens on `port` of 127.0.0.1."""
    group = pwd.getpwnam(user).pw_gid if user else None
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, user=user, group=group, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + READY
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{argv[0]} does not listen: {log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


@contextlib.contextmanager
def redis(directory: Path, *options: str) -> Iterator[int]:
    port = free_port()
    argv = (program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), *options)
    with serving(argv, port, directory / "log"):
        yield port


@contextlib.contextmanager
def postgres(directory: Path) -> Iterator[int]:
    port, data, user = free_port(), directory / "data", owned(directory, "postgres")
    (directory / "password").write_text(PASSWORD)
    init = (program("initdb"), "-D", str(data), "-U", "postgres", "--pwfile", str(directory / "password"), "-N")
    run((*init, "--auth=scram-sha-256"), user)
    argv = (program("postgres"), "-D", str(data), "-p", str(port), "-k", str(directory), "-h", "127.0.0.1", "-F")
    with serving(argv, port, directory / "log", user):
        yield port


@contextlib.contextmanager
def mariadb(directory: Path) -> Iterator[int]:
    port, data, user = free_port(), directory / "data", owned(directory, "mysql")
    run((program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--skip-test-db"), user)
    script = directory / "init.sql"
    script.write_text(
        f"create user root@127.0.0.1 identified by '{PASSWORD}';\n"
        "grant all on *.* to root@127.0.0.1 with grant option;\n"
    )
    argv: tuple[str, ...] = (
        program("mariadbd"),
        "--no-defaults",
        f"--datadir={data}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
    )
    argv = (
        *argv,
        f"--socket={directory}/s",
        f"--init-file={script}",
        "--skip-name-resolve",
        f"--pid-file={directory}/pid",
    )
    with serving(argv, port, directory / "log", user):
        yield port


@contextlib.contextmanager
def exim(directory: Path) -> Iterator[int]:
    """Exim, which takes letters for local names and keeps them in a file; it wants to be root or its own user."""
    port, configuration, user = free_port(), directory / "exim.conf", owned(directory, "Debian-exim")
    certificate, key = certified(directory)
    for path in (certificate, key):
        owned(path, "Debian-exim")
    configuration.write_text(
        f"""
primary_hostname = mail.example.test
spool_directory = {directory}
log_file_path = {directory}/%slog
pid_file_path = {directory}/pid
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  accept local_parts = postmaster : root
         domains = mail.example.test
  deny message = relay not permitted
begin routers
local:
  driver = accept
  transport = keep
begin transports
keep:
  driver = appendfile
  file = {directory}/letters
"""
    )
    argv = (program("exim4"), "-bdf", "-C", str(configuration), "-oX", f"127.0.0.1.{port}")
    with serving(argv, port, directory / "log", user):
        yield port


def certified(directory: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    certificate, key = directory / "here.crt", directory / "here.key"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    run((program("openssl"), *words.split(), "-keyout", str(key), "-out", str(certificate)), None)
    key.chmod(0o600)
    return certificate, key
