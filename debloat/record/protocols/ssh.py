"""SSH: the server's keys, logins as nobody, and commands, a shell and files where a login is given."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from debloat.record.protocols.base import LOOPBACK, NAME, Account, Protocol, Refused, Target, Transcript, environment

_KEYS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")


def _accounts(env: Mapping[str, str]) -> Iterable[Account]:
    users = ("SSH_USER", "SSH_USERNAME", "USER_NAME")
    yield from environment(env, ("SSH_PASSWORD", "USER_PASSWORD"), users=users, user="root")


def _converse(target: Target, said: Transcript) -> None:
    import paramiko

    for kind in _KEYS:
        said.ask(f"host key {kind}", lambda kind=kind: _host_key(target, kind))  # type: ignore[misc]
    said.ask("ways to log in", lambda: _ways(target))
    said.ask("a wrong password", lambda: _refusal(target, None))
    said.ask("an unknown key", lambda: _refusal(target, _new_key()))
    if not target.accounts:
        said.advice = "nobody logged in: give SSH_USER and SSH_PASSWORD with -e, or --probe ssh://USER:PASSWORD@:PORT"
        return
    with contextlib.ExitStack() as stack:
        account = target.accounts[0]
        opened: list[Any] = []

        def log_in() -> object:
            transport = stack.enter_context(contextlib.closing(_transport(target)))
            if key := target.options.get("key"):
                transport.auth_publickey(account.user, paramiko.PKey.from_path(key))
            else:
                transport.auth_password(account.user, account.password)
            opened.append(transport)
            return "logged in"

        if said.ask(f"log in as {account.user}", lambda: _answered(log_in)) is None:
            said.advice = "the login was refused: give --probe ssh://USER:PASSWORD@:PORT"
            return
        said.ask("a command", lambda: _answered(lambda: _command(opened[0], "echo $((6 * 7))")))
        said.ask("a shell", lambda: _answered(lambda: _shell(opened[0], target.timeout)))
        said.ask("files", lambda: _answered(lambda: _files(opened[0])))


def _answered(call: Any) -> object:
    import paramiko

    try:
        return call()
    except paramiko.SSHException as error:
        raise Refused(type(error).__name__) from error
    except (PermissionError, FileNotFoundError) as error:  # of SFTP
        raise Refused(type(error).__name__) from error


def _transport(target: Target, keys: tuple[str, ...] = _KEYS) -> Any:
    """A connection on whose keys both sides have agreed."""
    import paramiko

    plain = socket.create_connection((LOOPBACK, target.port), timeout=target.timeout)
    transport = paramiko.Transport(plain)
    transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = target.timeout
    try:
        transport.get_security_options().key_types = keys
        transport.start_client(timeout=target.timeout)
    except paramiko.SSHException as error:
        transport.close()
        if "banner" in str(error).lower() or isinstance(error.__cause__, EOFError):
            raise ConnectionError(str(error)) from error
        raise Refused(type(error).__name__) from error
    except BaseException:
        transport.close()
        raise
    return transport


def _host_key(target: Target, kind: str) -> object:
    with contextlib.closing(_transport(target, (kind,))) as transport:
        return transport.get_remote_server_key().get_name(), transport.remote_cipher


def _ways(target: Target) -> object:
    import paramiko

    with contextlib.closing(_transport(target)) as transport:
        try:
            transport.auth_none(f"{NAME}_nobody")
        except paramiko.BadAuthenticationType as error:
            return sorted(error.allowed_types), transport.get_banner()
        except paramiko.SSHException as error:
            raise Refused(type(error).__name__) from error
        return "none is needed"


def _refusal(target: Target, key: Any) -> object:
    import paramiko

    with contextlib.closing(_transport(target)) as transport:
        try:
            if key is None:
                transport.auth_password(f"{NAME}_nobody", "wrong", fallback=False)
            else:
                transport.auth_publickey(f"{NAME}_nobody", key)
        except paramiko.SSHException as error:
            raise Refused(type(error).__name__) from error
        return "logged in"


def _new_key() -> Any:
    import paramiko

    return paramiko.ECDSAKey.generate()


def _command(transport: Any, line: str) -> object:
    with contextlib.closing(transport.open_session()) as channel:
        channel.exec_command(line)
        out = channel.makefile("rb").read(1 << 16)
        return out, channel.recv_exit_status()


def _shell(transport: Any, timeout: float) -> object:
    """A login at a terminal; what it greets with counts, and that it ends."""
    with contextlib.closing(transport.open_session()) as channel:
        channel.settimeout(timeout)
        channel.get_pty()
        channel.invoke_shell()
        channel.sendall(b"exit\n")
        channel.makefile("rb").read(1 << 16)
        return channel.recv_exit_status()


def _files(transport: Any) -> object:
    with contextlib.closing(transport.open_sftp_client()) as client:
        client.putfo(io.BytesIO(b"hello"), NAME)
        try:
            client.rename(NAME, f"{NAME}_2")
            return client.stat(f"{NAME}_2").st_size, NAME in " ".join(client.listdir("."))
        finally:
            client.remove(f"{NAME}_2")


SSH = Protocol(
    "ssh",
    _converse,
    lambda first: first.startswith(b"SSH-"),
    ports=(22, 2222),
    modules=("paramiko",),
    accounts=_accounts,
    programs=(("sshd", "-T"), ("ssh-keyscan", "-p", "{port}", "localhost"), ("ssh", "-V")),
)
