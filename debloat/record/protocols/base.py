"""What a protocol is to a probe: how it is recognised, and what it is asked.

A conversation asks for what clients of such servers use, in names of its own which it removes again, and writes down
what came back. It never fails: an error that the server answers with is an answer as any other.
"""

from __future__ import annotations

import importlib.util
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct

from debloat.core.values import Discreet

LOOPBACK = "127.0.0.1"

NAME = "debloat_probe"
"""What a conversation calls that which it makes on a server."""

MAX_ANSWER = 4000
"""Characters of one answer that are written down."""


class Account(Discreet, frozen=True):
    """Who logs in: a user, the password, and the database or virtual host that is the user's. All may be empty."""

    user: str = ""
    password: str = ""
    path: str = ""


class Target(Struct, frozen=True):
    """A server to talk to, at `port` of 127.0.0.1. `timeout` is in seconds, for one answer.

    `accounts` are those that may log in, the best first; `given` says whether the user named one. `options` are those
    of the probe's URL, and `path` is what its path names. `inside` is the port as the
    container has it. `udp` is the port of 127.0.0.1 that leads to the same one of
    the container by datagrams, 0 where there is none. `within` gives a port of 127.0.0.1 that leads to a port of the
    container, as if from within it: for servers that open more ports as they go.
    """

    port: int
    timeout: float
    tls: bool = False
    accounts: tuple[Account, ...] = ()
    given: bool = False
    options: Mapping[str, str] = MappingProxyType({})
    path: str = ""
    inside: int = 0
    udp: int = 0
    within: Callable[[int], int] = lambda port: port

    def connected(self) -> socket.socket:
        """A connection, within TLS where the server is."""
        plain = socket.create_connection((LOOPBACK, self.port), timeout=self.timeout)
        if not self.tls:
            return plain
        try:
            return unverified().wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise

    def sender(self) -> socket.socket:
        """A socket for datagrams to the server; Unreachable where none lead there."""
        if not self.udp:
            raise Unreachable("no datagrams reach a container of this engine")
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.settimeout(self.timeout)
        sender.connect((LOOPBACK, self.udp))
        return sender


class Silenced(Exception):
    """The server did not answer: the conversation ends here."""


class Unreachable(OSError):
    """No way leads to the server."""


class Refused(Exception):
    """What the server answered to a request that it does not grant."""


class Transcript:
    """A conversation, line by line. `spoke` says whether the server answered as its protocol has it.

    `advice` is for the report: what a fuller conversation would need.
    """

    def __init__(self, seconds: float) -> None:
        self.lines: list[str] = []
        self.spoke = False
        self.advice = ""
        self._deadline = time.monotonic() + seconds

    def ask(self, what: str, call: Callable[[], object]) -> object:
        """Ask for something and write the answer down; None where the answer is an error.

        Silenced where there is none, or no time is left.
        """
        if time.monotonic() > self._deadline:
            self.lines.append(f"{what} -> not asked: the time is up")
            raise Silenced(what)
        try:
            answer = call()
        except (OSError, EOFError) as error:
            self.lines.append(f"{what} -> no answer: {type(error).__name__}")
            raise Silenced(f"{what}: {type(error).__name__}: {error}") from error
        except Exception as error:  # of the client's library: what the server answered, as far as can be known
            self.spoke = True
            self.lines.append(f"{what} -> {type(error).__name__.lower()}: {shown(error.args)}")
            return None
        self.spoke = True
        self.lines.append(f"{what} -> {shown(answer)}")
        return answer

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


def login(
    said: Transcript, target: Target, connect: Callable[[Account], object], nobody: Account, advice: str
) -> Account | None:
    """Log in as somebody with a wrong password, then as each account: the first that may; None where none may."""
    said.ask(f"log in as {nobody.user} with a wrong password", lambda: connect(nobody))
    for account in target.accounts:
        if said.ask(f"log in as {account.user}", lambda account=account: connect(account)) is not None:  # type: ignore[misc]
            return account
    said.advice = advice
    return None


class Protocol(Struct, frozen=True):
    """A protocol by `name`, as in `core.protocol.SCHEMES`.

    `ports` are its usual ones (IANA's registry, the servers' defaults), `tls_ports` those where it is within TLS.
    `greets` tells from a server's first bytes whether it speaks this, after `hello` was sent; an empty `hello` is for a
    protocol in which the server speaks first. `converse` asks. `modules` are what it imports beyond the standard
    library. `accounts` finds who may log in by the container's environment. `programs` are command lines of the
    protocol's own programs that an image may bring: each is run in the container, to show that it works;
    `{user}`, `{password}`, `{path}` and `{port}` are filled in.
    """

    name: str
    converse: Callable[[Target, Transcript], None]
    greets: Callable[[bytes], bool]
    hello: bytes = b""
    ports: tuple[int, ...] = ()
    tls_ports: tuple[int, ...] = ()
    modules: tuple[str, ...] = ()
    accounts: Callable[[Mapping[str, str]], Iterable[Account]] = lambda env: ()
    programs: tuple[tuple[str, ...], ...] = ()

    @property
    def available(self) -> bool:
        """Whether the client library is installed."""
        return all(importlib.util.find_spec(module) is not None for module in self.modules)


def unverified() -> ssl.SSLContext:
    """A client's side of TLS that takes any certificate: whose it is is the image's own affair."""
    return ssl._create_unverified_context()


def shown(value: object) -> str:
    """A value as text that is the same for the same answer: sets and mappings in order."""
    if isinstance(value, bytes | bytearray | memoryview):
        text = bytes(value).decode("utf-8", "backslashreplace")
    elif isinstance(value, str):
        text = value
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(sorted(f"{shown(k)}: {shown(v)}" for k, v in value.items())) + "}"
    elif isinstance(value, set | frozenset):
        text = "{" + ", ".join(sorted(map(shown, value))) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(map(shown, value)) + "]"
    else:
        text = str(value)
    return text if len(text) <= MAX_ANSWER else f"{text[:MAX_ANSWER]}..."


def environment(
    env: Mapping[str, str],
    passwords: Iterable[str],
    *,
    users: Iterable[str] = (),
    user: str = "",
    paths: Iterable[str] = (),
) -> Iterable[Account]:
    """The account whose password one of the variables `passwords` has, under the name that one of `users` has."""
    name = next((env[n] for n in users if env.get(n)), user)
    path = next((env[n] for n in paths if env.get(n)), "")
    for variable in passwords:
        if env.get(variable):
            yield Account(name, env[variable], path)
            return
