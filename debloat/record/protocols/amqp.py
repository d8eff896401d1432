"""AMQP 0-9-1 (RabbitMQ): exchanges, queues and bindings of the conversation's own, messages through them, errors."""

from __future__ import annotations

import contextlib
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
    login,
    unverified,
)

_EXCHANGES = ("direct", "fanout", "topic", "headers")
_QUEUES: tuple[tuple[str, bool, dict[str, object]], ...] = (
    ("classic", False, {"x-max-length": 10, "x-message-ttl": 60000, "x-max-priority": 3}),
    ("durable", True, {}),
    ("quorum", True, {"x-queue-type": "quorum"}),
    ("stream", True, {"x-queue-type": "stream"}),
)
"""A queue by name: whether it outlives the broker, and its arguments. A broker that lacks a kind says so."""

_ADVICE = "nobody can log in: give RABBITMQ_DEFAULT_USER and _PASS with -e, or --probe amqp://USER:PASSWORD@:PORT"
_WAIT = 5.0
"""Seconds that a message to a queue is waited for."""


def _accounts(env: Mapping[str, str]) -> Iterator[Account]:
    users, paths = ("RABBITMQ_DEFAULT_USER", "RABBITMQ_USERNAME"), ("RABBITMQ_DEFAULT_VHOST", "RABBITMQ_VHOST")
    passwords = ("RABBITMQ_DEFAULT_PASS", "RABBITMQ_PASSWORD")
    yield from environment(env, passwords, users=users, user="user", paths=paths)
    yield Account("guest", "guest")


def _converse(target: Target, said: Transcript) -> None:
    import pika
    import pika.exceptions

    with contextlib.ExitStack() as stack:
        opened: list[Any] = []

        def connect(account: Account) -> object:
            parameters = pika.ConnectionParameters(
                LOOPBACK,
                target.port,
                account.path or "/",
                pika.PlainCredentials(account.user, account.password),
                ssl_options=pika.SSLOptions(unverified(), "localhost") if target.tls else None,
                socket_timeout=target.timeout,
                stack_timeout=target.timeout,
                blocked_connection_timeout=target.timeout,
                connection_attempts=1,
            )
            try:
                connection = pika.BlockingConnection(parameters)
            except (pika.exceptions.AMQPConnectionError, pika.exceptions.ProbableAccessDeniedError) as error:
                raise _refused(error) from error
            stack.callback(_closed, connection)
            opened.append(connection)
            return "logged in"

        if login(said, target, connect, Account(f"{NAME}_nobody", "wrong"), _ADVICE) is None:
            return
        connection = opened[-1]

        def ask(what: str, call: Callable[[Any], object]) -> None:
            """A request on a channel of its own, which an error closes."""

            def answered() -> object:
                channel = connection.channel()
                try:
                    return call(channel)
                except pika.exceptions.ChannelClosed as error:
                    raise Refused(error.reply_code, error.reply_text) from error
                except pika.exceptions.AMQPError as error:
                    raise ConnectionError(str(error)) from error
                finally:
                    _closed(channel)

            said.ask(what, answered)

        for kind in _EXCHANGES:
            ask(f"exchange {kind}", lambda channel, kind=kind: _exchange(channel, kind))  # type: ignore[misc]
        for name, durable, arguments in _QUEUES:
            ask(
                f"queue {name}",
                lambda channel, name=name, durable=durable, arguments=arguments: _queue(  # type: ignore[misc]
                    channel, name, durable, arguments
                ),
            )
        ask("a transaction", _transaction)
        ask("a queue that is not there", lambda c: c.queue_declare(f"{NAME}_not_there", passive=True).method.NAME)
        ask("a message that nobody takes", _unroutable)


def _refused(error: Exception) -> Exception:
    """A login that is refused; whatever else ends a connection as the end of it."""
    name = type(error).__name__
    return Refused(name) if "Auth" in name or "Access" in name else ConnectionError(name)


def _closed(opened: Any) -> None:
    with contextlib.suppress(Exception):
        opened.close()


def _exchange(channel: Any, kind: str) -> object:
    """A message from an exchange to a queue that is bound to it."""
    exchange, queue = f"{NAME}_{kind}", channel.queue_declare("", exclusive=True).method.queue
    channel.exchange_declare(exchange, kind, auto_delete=True)
    arguments = {"x-match": "all", "a": "b"} if kind == "headers" else {}
    channel.queue_bind(queue, exchange, "a.*" if kind == "topic" else "a.b", arguments)
    channel.confirm_delivery()
    channel.basic_publish(exchange, "a.b", "hällo".encode(), _properties())
    answer = channel.basic_get(queue, auto_ack=True)[2]
    channel.queue_unbind(queue, exchange, "a.*" if kind == "topic" else "a.b", arguments)
    channel.queue_delete(queue)
    channel.exchange_delete(exchange)
    return answer


def _queue(channel: Any, name: str, durable: bool, arguments: dict[str, object]) -> object:
    """A message to a queue, consumed, refused, consumed again and taken; then the queue is deleted."""
    queue = f"{NAME}_{name}"
    channel.queue_declare(queue, durable=durable, arguments=arguments)
    try:
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=1)
        channel.basic_publish("", queue, b"hello", _properties())
        taken = []
        start = {"x-stream-offset": "first"} if name == "stream" else {}
        for method, _, body in channel.consume(queue, inactivity_timeout=_WAIT, arguments=start):
            if method is None:
                break
            taken.append(body)
            if method.redelivered or name == "stream":
                channel.basic_ack(method.delivery_tag)
                break
            channel.basic_nack(method.delivery_tag)
        channel.cancel()
        if name != "stream":
            channel.queue_purge(queue)
        return taken
    finally:
        if channel.is_open:
            channel.queue_delete(queue)


def _properties() -> Any:
    import pika

    return pika.BasicProperties(content_type="text/plain", delivery_mode=2, headers={"a": "b"}, priority=1)


def _transaction(channel: Any) -> object:
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.tx_select()
    channel.basic_publish("", queue, b"not to stay")
    channel.tx_rollback()
    channel.basic_publish("", queue, b"kept")
    channel.tx_commit()
    return channel.basic_get(queue, auto_ack=True)[2]


def _unroutable(channel: Any) -> object:
    import pika.exceptions

    channel.confirm_delivery()
    try:
        channel.basic_publish("", f"{NAME}_not_there", b"x", mandatory=True)
    except pika.exceptions.UnroutableError:
        return "returned"
    return "taken"


AMQP = Protocol(
    "amqp",
    _converse,
    lambda first: first[:1] == b"\x01" and first[7:11] == b"\0\x0a\0\x0a",
    hello=b"AMQP\0\0\x09\x01",
    ports=(5672,),
    tls_ports=(5671,),
    modules=("pika",),
    accounts=_accounts,
    programs=(
        ("rabbitmqctl", "status"),
        ("rabbitmqctl", "environment"),
        ("rabbitmqctl", "list_queues"),
        ("rabbitmqctl", "add_user", NAME, "wrong"),
        ("rabbitmqctl", "change_password", NAME, "changed"),
        ("rabbitmqctl", "delete_user", NAME),
        ("rabbitmq-diagnostics", "check_running"),
        ("rabbitmq-plugins", "list"),
        ("rabbitmq-queues", "check_if_node_is_quorum_critical"),
    ),
)
