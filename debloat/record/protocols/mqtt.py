"""MQTT 3.1.1 and 5: messages of every quality of service, kept ones, a will, shared and wildcard subscriptions."""

from __future__ import annotations

import contextlib
import queue
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from debloat.record.protocols.base import (
    LOOPBACK,
    NAME,
    Account,
    Protocol,
    Refused,
    Target,
    Transcript,
    environment,
    unverified,
)

_CONNECT = b"\x10\x0c\0\x04MQTT\x04\x02\0\x0a\0\0"
"""CONNECT of MQTT 3.1.1 with an empty client identifier and a clean session (section 3.1)."""

_ADVICE = "nobody can log in: give MQTT_USERNAME and MQTT_PASSWORD with -e, or --probe mqtt://USER:PASSWORD@:PORT"
_WILL = f"{NAME}/will"
_QUIET = 1.0
"""Seconds after which a message that has not come will not: a broker need not say that it withholds one."""


def _accounts(env: Mapping[str, str]) -> Iterator[Account]:
    users = ("MQTT_USERNAME", "MQTT_USER", "MOSQUITTO_USERNAME")
    yield from environment(env, ("MQTT_PASSWORD", "MOSQUITTO_PASSWORD"), users=users, user="mqtt")
    yield Account()


def _converse(target: Target, said: Transcript) -> None:
    from paho.mqtt import client as paho

    said.ask("a wrong password", lambda: _refusal(target, paho.MQTTv311, Account(f"{NAME}_nobody", "wrong")))
    versions = (("MQTT 3.1.1", paho.MQTTv311), ("MQTT 5", paho.MQTTv5))
    spoken = [_exchanged(target, said, name, version) for name, version in versions]
    if not any(spoken):
        said.advice = _ADVICE


def _refusal(target: Target, version: int, account: Account) -> object:
    with _connected(target, version, account):
        return "taken"


def _exchanged(target: Target, said: Transcript, name: str, version: int) -> bool:
    """Publish and subscribe by one version; whether somebody could log in."""
    return any(_as(target, said, name, version, account) for account in target.accounts)


def _as(target: Target, said: Transcript, name: str, version: int, account: Account) -> bool:
    with contextlib.ExitStack() as stack:
        opened: list[_Client] = []

        def connect() -> object:
            opened.append(stack.enter_context(_connected(target, version, account)))
            return "connected"

        if said.ask(f"{name} as {account.user or 'anybody'}", connect) is None:
            return False
        client = opened[0]
        for quality in (0, 1, 2):
            said.ask(f"{name}, quality of service {quality}", lambda q=quality: client.echo(f"{NAME}/{q}", q))  # type: ignore[misc]
        shared = f"$share/{NAME}/{NAME}/+"
        said.ask(f"{name}, a message that is kept", lambda: client.kept(f"{NAME}/kept"))
        said.ask(f"{name}, a shared subscription", lambda: client.through(shared, f"{NAME}/shared"))
        said.ask(f"{name}, of the broker itself", lambda: bool(client.first("$SYS/#")) or "nothing")
        said.ask(f"{name}, a will", lambda: _will(client, lambda: _connected(target, version, account)))
        return True


class _Client:
    """A connected client whose messages wait to be taken."""

    def __init__(self, client: Any, messages: queue.Queue[tuple[str, bytes]], done: queue.Queue[int]) -> None:
        self._client = client
        self._messages = messages
        self._done = done

    def echo(self, topic: str, quality: int) -> object:
        """What comes back of a message."""
        return self.through(f"{NAME}/+", topic, quality)

    def through(self, subscription: str, topic: str, quality: int = 1) -> object:
        """What a subscription gets of a message to a topic."""
        self.subscribe(subscription, quality)
        self._client.publish(topic, "hällo".encode(), quality)
        got = self.taken()
        self.unsubscribe(subscription)
        return got or "withheld"

    def kept(self, topic: str) -> object:
        """What a later subscriber gets of a message that is kept; then it is removed."""
        self._client.publish(topic, b"kept", 1, retain=True)
        self.subscribe(topic, 1)
        got = self.taken()
        self.unsubscribe(topic)
        self._client.publish(topic, b"", 1, retain=True)
        return got or "withheld"

    def first(self, topic: str) -> object:
        """The first message to a topic that others write to."""
        self.subscribe(topic, 0)
        got = self.taken()
        self.unsubscribe(topic)
        while self.taken(0.0):
            pass
        return got

    def subscribe(self, topic: str, quality: int) -> None:
        self._await(self._client.subscribe(topic, quality)[1])

    def unsubscribe(self, topic: str) -> None:
        self._await(self._client.unsubscribe(topic)[1])

    def lost(self) -> None:
        """End the connection without a word, as a broken line does."""
        self._client.socket().shutdown(socket.SHUT_RDWR)

    def taken(self, seconds: float = _QUIET) -> object:
        """The next message, or None where none comes."""
        with contextlib.suppress(queue.Empty):
            return self._messages.get(timeout=seconds) if seconds else self._messages.get_nowait()
        return None

    def _await(self, number: int | None) -> None:
        """Wait until the broker has done what message `number` asked for."""
        with contextlib.suppress(queue.Empty):
            while self._done.get(timeout=_QUIET) != number:
                pass


def _will(client: _Client, other: Callable[[], contextlib.AbstractContextManager[_Client]]) -> object:
    """What comes of somebody else's last will when the line to them breaks."""
    client.subscribe(_WILL, 1)
    with other() as second:
        second.lost()
        got = client.taken()
    client.unsubscribe(_WILL)
    return got or "withheld"


@contextlib.contextmanager
def _connected(target: Target, version: int, account: Account) -> Iterator[_Client]:
    """A client once the broker has taken it; Refused where it does not, OSError where there is none."""
    from paho.mqtt import client as paho
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
    codes: queue.Queue[Any] = queue.Queue()
    done: queue.Queue[int] = queue.Queue()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version), reconnect_on_failure=False)
    client.on_message = lambda _c, _u, message: messages.put((message.topic, bytes(message.payload)))
    client.on_connect = lambda _c, _u, _f, reason, _p: codes.put(reason)
    client.on_subscribe = client.on_unsubscribe = lambda _c, _u, number, _r, _p: done.put(number)
    client.will_set(_WILL, b"gone", 1)
    if account.user or account.password:
        client.username_pw_set(account.user, account.password or None)
    if target.tls:
        client.tls_set_context(unverified())
        client.tls_insecure_set(True)
    client.connect_timeout = target.timeout
    client.connect(LOOPBACK, target.port, keepalive=30)
    client.loop_start()
    try:
        try:
            reason = codes.get(timeout=target.timeout)
        except queue.Empty:
            raise TimeoutError("no CONNACK") from None
        if reason.is_failure:
            raise Refused(str(reason))
        yield _Client(client, messages, done)
    finally:
        client.disconnect()
        client.loop_stop()


MQTT = Protocol(
    "mqtt",
    _converse,
    lambda first: first[:1] == b"\x20" and len(first) >= 4,
    hello=_CONNECT,
    ports=(1883,),
    tls_ports=(8883,),
    modules=("paho",),
    accounts=_accounts,
    programs=(
        ("mosquitto_pub", "-p", "{port}", "-u", "{user}", "-P", "{password}", "-t", f"{NAME}/program", "-m", "hello"),
        ("mosquitto_sub", "-p", "{port}", "-t", "$SYS/#", "-C", "1", "-W", "3"),
        (
            "mosquitto_rr",
            "-p",
            "{port}",
            "-V",
            "mqttv5",
            "-t",
            f"{NAME}/q",
            "-e",
            f"{NAME}/q",
            "-m",
            "hello",
            "-W",
            "3",
        ),
        ("mosquitto_passwd", "--help"),
        ("mosquitto_ctrl", "--help"),
    ),
)
