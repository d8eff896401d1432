"""Redis and Valkey: every type of value, scripts, publishing, persistence, what administrators ask."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from debloat.record.protocols.base import LOOPBACK, NAME, Account, Protocol, Target, Transcript, environment

_KEY = NAME

_COMMANDS: tuple[tuple[str | int, ...], ...] = (
    ("PING",),
    ("SET", f"{_KEY}:s", "hällo wörld", "EX", 600),
    ("GET", f"{_KEY}:s"),
    ("APPEND", f"{_KEY}:s", "!"),
    ("GETRANGE", f"{_KEY}:s", 0, 3),
    ("SETBIT", f"{_KEY}:b", 7, 1),
    ("BITCOUNT", f"{_KEY}:b"),
    ("INCRBYFLOAT", f"{_KEY}:n", "1.5"),
    ("RPUSH", f"{_KEY}:l", "c", "a", "b"),
    ("LRANGE", f"{_KEY}:l", 0, -1),
    ("SORT", f"{_KEY}:l", "ALPHA"),
    ("BLPOP", f"{_KEY}:l", 1),
    ("HSET", f"{_KEY}:h", "k", "v"),
    ("HGETALL", f"{_KEY}:h"),
    ("SADD", f"{_KEY}:set", "x"),
    ("SMEMBERS", f"{_KEY}:set"),
    ("ZADD", f"{_KEY}:z", 2, "two", 1, "one"),
    ("ZRANGE", f"{_KEY}:z", 0, -1, "WITHSCORES"),
    ("GEOADD", f"{_KEY}:g", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"),
    ("GEODIST", f"{_KEY}:g", "Palermo", "Catania", "km"),
    ("PFADD", f"{_KEY}:p", "a", "b", "a"),
    ("PFCOUNT", f"{_KEY}:p"),
    ("XADD", f"{_KEY}:x", "1-1", "f", "v"),
    ("XRANGE", f"{_KEY}:x", "-", "+"),
    ("EVAL", "return cjson.encode({redis.call('INCRBY', KEYS[1], 41), #cmsgpack.pack({1})})", 1, f"{_KEY}:c"),
    ("EVAL", "error('on purpose')", 0),
    ("LPUSH", f"{_KEY}:s", "wrong type"),
    ("OBJECT", "ENCODING", f"{_KEY}:z"),
    ("DUMP", f"{_KEY}:nothing"),
    ("SCAN", 0, "MATCH", f"{_KEY}:nothing"),
    ("NOSUCHCOMMAND",),
)

_KEYS = ("s", "b", "n", "l", "h", "set", "z", "g", "p", "x", "c", "t")

_ADMINISTRATION: tuple[tuple[str | int, ...], ...] = (
    ("ACL", "WHOAMI"),
    ("CONFIG", "GET", "appendonly"),
    ("SLOWLOG", "LEN"),
    ("MEMORY", "DOCTOR"),
    ("LATENCY", "DOCTOR"),
)

_UNSTABLE = frozenset({"MEMORY", "LATENCY", "INFO", "SCAN", "CONFIG", "BGSAVE", "BGREWRITEAOF"})
"""Commands of which it counts only that they are answered: what they tell depends on the moment, or on the data."""


_LOOKS, _PAUSE = 100, 0.02
"""How often it is looked whether a dump is written, and seconds between."""


def _at_rest(persistence: Mapping[str, object]) -> bool:
    return not any(persistence.get(key) for key in ("rdb_bgsave_in_progress", "aof_rewrite_in_progress"))


def _accounts(env: Mapping[str, str]) -> Iterable[Account]:
    yield from environment(env, ("REDIS_PASSWORD", "VALKEY_PASSWORD", "REDISCLI_AUTH"))


def _converse(target: Target, said: Transcript) -> None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    account = target.accounts[0] if target.accounts else Account(path=target.path)
    connection: Any = redis.Redis(
        host=LOOPBACK,
        port=target.port,
        db=int(account.path) if account.path.isdigit() else 0,
        username=account.user or None,
        password=account.password or None,
        socket_timeout=target.timeout,
        socket_connect_timeout=target.timeout,
        ssl=target.tls,
        ssl_cert_reqs="none",
        ssl_check_hostname=False,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
    )

    def command(words: tuple[str | int, ...]) -> object:
        try:
            answer = connection.execute_command(*words)
        except redis.exceptions.ResponseError:
            raise
        except redis.exceptions.ConnectionError as error:
            if isinstance(error, redis.exceptions.AuthenticationError):
                raise
            raise ConnectionError(str(error)) from error
        except redis.exceptions.TimeoutError as error:
            raise TimeoutError(str(error)) from error
        return "answered" if words[0] in _UNSTABLE else answer

    def published() -> object:
        listener = connection.pubsub(ignore_subscribe_messages=True)
        try:
            listener.subscribe(f"{_KEY}:channel")
            listener.get_message(timeout=target.timeout)
            connection.publish(f"{_KEY}:channel", "news")
            message = listener.get_message(timeout=target.timeout)
            return message and message["data"]
        finally:
            listener.close()

    def saved() -> object:
        for _ in range(_LOOKS):
            if _at_rest(connection.info("persistence")):
                return True
            time.sleep(_PAUSE)
        return False

    def transaction() -> object:
        with connection.pipeline(transaction=True) as pipe:
            return pipe.set(f"{_KEY}:t", "1").incr(f"{_KEY}:t").execute()

    try:
        if said.ask("PING", lambda: command(("PING",))) is None:
            if not account.password:
                said.advice = "it wants a password: give REDIS_PASSWORD with -e, or --probe redis://:PASSWORD@:PORT"
            return
        said.ask("AUTH of somebody unknown", lambda: command(("AUTH", f"{_KEY}_nobody", "wrong")))
        try:
            for words in _COMMANDS:
                said.ask(" ".join(map(str, words)), lambda words=words: command(words))  # type: ignore[misc]
            said.ask("MULTI, EXEC", transaction)
            said.ask("SUBSCRIBE, PUBLISH", published)
            for words in (*_ADMINISTRATION, ("INFO", "everything")):
                said.ask(" ".join(map(str, words)), lambda words=words: command(words))  # type: ignore[misc]
        finally:
            said.ask("UNLINK", lambda: command(("UNLINK", *(f"{_KEY}:{key}" for key in _KEYS))))
        said.ask("BGREWRITEAOF", lambda: command(("BGREWRITEAOF",)))
        said.ask("BGSAVE", lambda: command(("BGSAVE", "SCHEDULE")))
        said.ask("its end", saved)
    finally:
        connection.close()


REDIS = Protocol(
    "redis",
    _converse,
    lambda first: first.startswith((b"+PONG", b"-NOAUTH", b"-LOADING", b"-DENIED", b"-ERR operation not permitted")),
    hello=b"PING\r\n",
    ports=(6379, 26379, 6380),
    modules=("redis",),
    accounts=_accounts,
    programs=(
        ("redis-cli", "-p", "{port}", "PING"),
        ("valkey-cli", "-p", "{port}", "PING"),
        ("redis-benchmark", "-p", "{port}", "-a", "{password}", "-q", "-n", "10", "-c", "2", "-t", "ping"),
        ("valkey-benchmark", "-p", "{port}", "-a", "{password}", "-q", "-n", "10", "-c", "2", "-t", "ping"),
        ("redis-check-rdb", "--version"),
        ("redis-check-aof", "--version"),
    ),
)
