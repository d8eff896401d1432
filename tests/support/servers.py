"""Servers of Debian's packages as plain processes on the loopback, each in a directory of its own.

A server that refuses to run as root, or must not, runs as the user that its package made.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

READY = 90.0
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
    with tempfile.TemporaryDirectory(prefix="debloat-server-", ignore_cleanup_errors=True) as name:
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


@contextlib.contextmanager
def memcached(directory: Path) -> Iterator[int]:
    port = free_port()
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    with serving((program("memcached"), "-l", "127.0.0.1", "-p", str(port), *user), port, directory / "log"):
        yield port


@contextlib.contextmanager
def rabbitmq(directory: Path) -> Iterator[int]:
    """RabbitMQ with a name-server of its own, whose user is guest."""
    port, mapper, distribution = free_port(), free_port(), free_port()
    user = owned(directory, "rabbitmq")
    (directory / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    (directory / "plugins").write_text("[].\n")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "debloat@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }
    program("rabbitmq-server")
    argv = ("/usr/lib/rabbitmq/bin/rabbitmq-server",)
    try:
        with serving(argv, port, directory / "log", user, env):
            yield port
    finally:
        # It ends only once no broker is registered with it.
        subprocess.run((program("epmd"), "-port", str(mapper), "-kill"), capture_output=True, timeout=20, check=False)


@contextlib.contextmanager
def mosquitto(directory: Path, *lines: str) -> Iterator[int]:
    port = free_port()
    configuration = directory / "mosquitto.conf"
    configuration.write_text("\n".join((f"listener {port} 127.0.0.1", *lines, "")))
    with serving((program("mosquitto"), "-c", str(configuration)), port, directory / "log"):
        yield port


@contextlib.contextmanager
def dovecot(directory: Path, protocol: str = "imap") -> Iterator[int]:
    """Dovecot for IMAP or POP3, whose only user is ann; it wants to be root."""
    if os.geteuid() != 0:
        pytest.skip("dovecot wants to be root")
    port, mail = free_port(), directory / "mail"
    mail.mkdir()
    shutil.chown(mail, "mail", "mail")
    certificate, key = certified(directory)
    account = pwd.getpwnam("mail")
    (directory / "users").write_text(f"ann:{{PLAIN}}{PASSWORD}:{account.pw_uid}:{account.pw_gid}::{mail}::\n")
    configuration = directory / "dovecot.conf"
    configuration.write_text(
        f"""
protocols = {protocol}
listen = 127.0.0.1
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/mail.log
default_internal_user = dovecot
default_login_user = dovenull
first_valid_uid = 1
mail_location = maildir:{mail}/box
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = yes
auth_failure_delay = 0
service {protocol}-login {{
  inet_listener {protocol} {{
    port = {port}
  }}
  inet_listener {protocol}s {{
    port = 0
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = passwd-file
  args = {directory}/users
}}
"""
    )
    with serving((program("dovecot"), "-F", "-c", str(configuration)), port, directory / "log"):
        yield port


@contextlib.contextmanager
def ftp(directory: Path) -> Iterator[int]:
    """vsftpd, which lets anonymous read, and write below /in; it wants to be root."""
    if os.geteuid() != 0:
        pytest.skip("vsftpd wants to be root")
    port, home, empty = free_port(), directory / "home", directory / "empty"
    (home / "in").mkdir(parents=True)
    empty.mkdir()
    (home / "hello").write_text("hello\n")
    shutil.chown(home / "in", "ftp")
    configuration = directory / "vsftpd.conf"
    configuration.write_text(
        f"""
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
anon_root={home}
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
local_enable=NO
write_enable=YES
secure_chroot_dir={empty}
xferlog_file={directory}/transfers
delay_failed_login=0
seccomp_sandbox=NO
"""
    )
    with serving((program("vsftpd"), str(configuration)), port, directory / "log"):
        yield port


@contextlib.contextmanager
def sshd(directory: Path) -> Iterator[int]:
    """OpenSSH's server with keys of its own. Who runs it may log in with the key `directory`/user."""
    port = free_port()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for kind, name in (("ed25519", "ed25519"), ("ecdsa", "ecdsa"), ("ed25519", "user")):
        run((program("ssh-keygen"), "-q", "-t", kind, "-N", "", "-f", str(directory / name)), None)
    keys = tuple(word for kind in ("ed25519", "ecdsa") for word in ("-h", str(directory / kind)))
    settings = (
        f"ListenAddress=127.0.0.1:{port}",
        f"PidFile={directory}/pid",
        f"AuthorizedKeysFile={directory}/user.pub",
        "StrictModes=no",
        "UsePAM=no",
        "Subsystem=sftp internal-sftp",
    )
    options = tuple(word for setting in settings for word in ("-o", setting))
    with serving((program("sshd"), "-D", "-e", "-f", "/dev/null", *keys, *options), port, directory / "log"):
        yield port


@contextlib.contextmanager
def unbound(directory: Path) -> Iterator[int]:
    """Unbound with a zone of its own, over UDP and TCP."""
    port = free_port()
    configuration = directory / "unbound.conf"
    configuration.write_text(
        f"""
server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: "{directory}/pid"
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  local-zone: "shop.test." static
  local-data: "shop.test. SOA localhost. root.localhost. 1 60 60 60 60"
  local-data: "shop.test. A 192.0.2.7"
  local-data: 'shop.test. TXT "hello"'
remote-control:
  control-enable: no
"""
    )
    with serving((program("unbound"), "-d", "-p", "-c", str(configuration)), port, directory / "log"):
        yield port


@contextlib.contextmanager
def slapd(directory: Path) -> Iterator[int]:
    """OpenLDAP's server with an empty directory dc=example,dc=test, and its administrator cn=admin."""
    port, data = free_port(), directory / "data"
    data.mkdir()
    configuration = directory / "slapd.conf"
    schemas = "".join(f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson"))
    configuration.write_text(
        f"""{schemas}pidfile {directory}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix dc=example,dc=test
rootdn cn=admin,dc=example,dc=test
rootpw {PASSWORD}
directory {data}
"""
    )
    root = directory / "root.ldif"
    root.write_text(
        "dn: dc=example,dc=test\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n"
    )
    run((program("slapadd"), "-f", str(configuration), "-l", str(root)), None)
    argv = (program("slapd"), "-d", "0", "-f", str(configuration), "-h", f"ldap://127.0.0.1:{port}")
    with serving(argv, port, directory / "log"):
        yield port


@contextlib.contextmanager
def datagrams() -> Iterator[int]:
    """A server of UDP that answers in capitals."""

    class Answering(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, connection = self.request
            connection.sendto(data.upper(), self.client_address)

    with socketserver.UDPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
