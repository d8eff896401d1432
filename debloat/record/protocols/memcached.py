"""memcached: values with and without an expiry, counters, comparing and swapping, statistics."""

from __future__ import annotations

from typing import Any

from debloat.record.protocols.base import LOOPBACK, NAME, Protocol, Refused, Target, Transcript

_KEY = NAME
_STATISTICS = ("settings", "items", "slabs", "sizes", "conns")


def _converse(target: Target, said: Transcript) -> None:
    from pymemcache.client.base import Client
    from pymemcache.exceptions import MemcacheError, MemcacheUnexpectedCloseError

    client: Any = Client((LOOPBACK, target.port), connect_timeout=target.timeout, timeout=target.timeout)

    def ask(what: str, name: str, *words: object, **options: object) -> None:
        def answered() -> object:
            try:
                answer = getattr(client, name)(*words, **options)
                return "answered" if name == "stats" else answer
            except MemcacheUnexpectedCloseError as error:
                raise ConnectionError(str(error)) from error
            except MemcacheError as error:
                raise Refused(type(error).__name__, *error.args) from error

        said.ask(what, answered)

    try:
        ask("version", "version")
        ask("set", "set", _KEY, "hällo wörld".encode(), expire=600, noreply=False)
        ask("get", "get", _KEY)
        ask("add", "add", _KEY, b"not again", noreply=False)
        ask("replace", "replace", _KEY, b"b", noreply=False)
        ask("append", "append", _KEY, b"c", noreply=False)
        ask("prepend", "prepend", _KEY, b"a", noreply=False)
        ask("get_many", "get_many", [_KEY, f"{_KEY}_not_there"])
        ask("cas", "cas", _KEY, b"x", b"0", noreply=False)
        ask("a large value", "set", f"{_KEY}_large", b"x" * 500_000, noreply=False)
        ask("a value that is too large", "set", f"{_KEY}_huge", b"x" * (2 << 20), noreply=False)
        ask("a counter", "set", f"{_KEY}_n", b"41", noreply=False)
        ask("incr", "incr", f"{_KEY}_n", 1)
        ask("decr", "decr", f"{_KEY}_n", 2)
        ask("touch", "touch", f"{_KEY}_n", 60, noreply=False)
        ask("incr of what is no number", "incr", _KEY, 1)
        for kind in _STATISTICS:
            ask(f"stats {kind}", "stats", kind)
        ask("delete", "delete_many", [_KEY, f"{_KEY}_n", f"{_KEY}_large", f"{_KEY}_huge"], noreply=False)
    finally:
        client.close()


MEMCACHED = Protocol(
    "memcached",
    _converse,
    lambda first: first.startswith(b"VERSION "),
    hello=b"version\r\n",
    ports=(11211,),
    modules=("pymemcache",),
    programs=(("memcached", "--version"), ("memcached-tool", "127.0.0.1:{port}", "stats")),
)
