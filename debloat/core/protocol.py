"""Probes of other protocols than HTTP, as a user writes them: `redis://:6379/0`, `tcp://:4000?send=PING&expect=PONG`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote, urlsplit

from debloat.core.errors import UsageError
from debloat.core.values import Discreet

SCHEMES: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "amqp": ("amqp", 5672),
        "amqps": ("amqp", 5671),
        "dns": ("dns", 53),
        "dot": ("dns", 853),
        "ftp": ("ftp", 21),
        "imap": ("imap", 143),
        "imaps": ("imap", 993),
        "ldap": ("ldap", 389),
        "ldaps": ("ldap", 636),
        "mariadb": ("mysql", 3306),
        "memcached": ("memcached", 11211),
        "mqtt": ("mqtt", 1883),
        "mqtts": ("mqtt", 8883),
        "mysql": ("mysql", 3306),
        "pop3": ("pop3", 110),
        "pop3s": ("pop3", 995),
        "postgres": ("postgres", 5432),
        "postgresql": ("postgres", 5432),
        "redis": ("redis", 6379),
        "rediss": ("redis", 6379),
        "smtp": ("smtp", 25),
        "smtps": ("smtp", 465),
        "ssh": ("ssh", 22),
        "tcp": ("tcp", 0),
        "tls": ("tls", 443),
        "udp": ("udp", 0),
        "valkey": ("redis", 6379),
    }
)
"""What a URL may begin with -> the protocol and its port (IANA's registry); 0: the port has to be said."""

TLS_SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "amqps": "amqp",
        "dot": "dns",
        "imaps": "imap",
        "ldaps": "ldap",
        "mqtts": "mqtt",
        "pop3s": "pop3",
        "rediss": "redis",
        "smtps": "smtp",
    }
)
"""Schemes of a protocol within TLS from the first byte on -> the protocol."""

DATAGRAMS: Mapping[str, int] = MappingProxyType({"dns": 53, "udp": 0})
"""Protocols that are spoken in datagrams, not over TLS -> the port whose datagrams are in it where nothing is said."""

_HERE = ("", "localhost", "127.0.0.1")
_EXAMPLE = "write SCHEME://[USER:PASSWORD@]:PORT[/PATH][?KEY=VALUE], for example `redis://:6379/0`"


class ProtocolProbe(Discreet, frozen=True):
    """A conversation with a server of the container.

    `protocol` is its name, `scheme` the word it was asked for by, `port` the port inside the container, `tls` whether
    it is within TLS from the first byte on. `user` and `password` are empty where the container's environment is to
    tell them, `path` is the database, the virtual host or what the protocol makes of it, `options` what follows `?`.
    """

    protocol: str
    scheme: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = ""
    path: str = ""
    options: Mapping[str, str] = MappingProxyType({})

    def __hash__(self) -> int:
        return hash((self.protocol, self.scheme, self.port, self.tls, self.user, self.password, self.path))

    @property
    def name(self) -> str:
        """What reports call the probe, without the password: `probe postgres://shop@:5432/orders`."""
        user = f"{self.user}@" if self.user else ""
        path = f"/{self.path}" if self.path else ""
        return f"probe {self.scheme}://{user}:{self.port}{path}"

    @property
    def datagrams(self) -> bool:
        """Whether it is spoken over UDP, by itself or beside TCP."""
        return self.protocol in DATAGRAMS and not self.tls

    @classmethod
    def of(cls, protocol: str, port: int, *, tls: bool = False) -> ProtocolProbe:
        """A protocol at a port, by the scheme that says so."""
        schemes = [scheme for scheme, name in TLS_SCHEMES.items() if tls and name == protocol]
        return cls(protocol, schemes[0] if schemes else protocol, port, tls)

    @classmethod
    def parse(cls, line: str) -> ProtocolProbe:
        """A URL as above; UsageError for what is none, or leads elsewhere than to the container."""
        try:
            url = urlsplit(line.strip())
            port = url.port
        except ValueError as error:
            raise UsageError(f"{line!r} is not a probe: {error}", _EXAMPLE) from None
        if url.scheme not in SCHEMES or (not url.netloc and not line.strip().endswith("://")):
            near = difflib.get_close_matches(url.scheme, SCHEMES, 1)
            known = f"did you mean `{near[0]}://`?" if near else f"known schemes: {', '.join(SCHEMES)}"
            raise UsageError(f"{line!r} is not a probe", known if url.scheme not in SCHEMES else _EXAMPLE)
        if url.hostname not in (None, *_HERE):
            raise UsageError(
                f"{line!r} leads to {url.hostname}", "a probe asks the container: leave the host out (`redis://:6379`)"
            )
        protocol, usual = SCHEMES[url.scheme]
        options = dict(parse_qsl(url.query, keep_blank_values=True))
        _check_pattern(options.get("expect", ""), line)
        if not (port or usual):
            raise UsageError(f"{line!r} names no port", f"write it: `{url.scheme}://:4000`")
        return cls(
            protocol,
            url.scheme,
            port or usual,
            url.scheme in TLS_SCHEMES,
            unquote(url.username or ""),
            unquote(url.password or ""),
            unquote(url.path.lstrip("/")),
            MappingProxyType(options),
        )


def _check_pattern(text: str, line: str) -> None:
    """UsageError where what a probe expects is no regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise UsageError(f"{line!r} expects no regular expression: {error}", "escape what is meant as it is") from None
