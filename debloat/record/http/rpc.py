"""Calls over gRPC, by the library `grpcio`: health (grpc.health.v1), reflection, and what reflection finds.

Protocols: github.com/grpc/grpc/blob/master/doc/health-checking.md and server-reflection.md. Reflection has two names,
v1 and v1alpha, and the same messages.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from debloat.core.errors import UsageError
from debloat.core.probes import Masked, ProbeResult, excerpt, shape

HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
_REFLECTIONS = (REFLECTION, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")

MAX_CALLS = 50
"""Calls that reflection leads to."""
MAX_FILES = 200
"""Descriptions of interfaces that are asked for."""
MAX_MESSAGE = 16 << 20
"""Bytes of an answer."""

OK, UNAVAILABLE = 0, 14
FOREIGN = frozenset({4, UNAVAILABLE})
"""Codes that a client itself gives where a port does not speak gRPC: nothing in time, no connection."""
_FAILURES = frozenset({2, 4, 13, 14, 15})
"""Codes that are failures of the server, as statuses of 500 and above are: unknown, deadline exceeded, internal,
unavailable, data loss (github.com/grpc/grpc/blob/master/doc/statuscodes.md)."""

_ENDS = re.compile(r"shut_?down|terminat|restart|reboot|exit|quit|kill|stop|drain|abort|crash|panic", re.IGNORECASE)
_REMOVES = re.compile(r"delete|remove|clear|purge|reset|drop|flush|truncate", re.IGNORECASE)


class Service:
    """A gRPC server at a port of this machine. UsageError where the libraries are not installed."""

    def __init__(self, port: int, scheme: str, timeout: float, names: tuple[Masked, ...]) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            import grpc
            from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
            from grpc_health.v1 import health_pb2
            from grpc_reflection.v1alpha import reflection_pb2
        except ImportError as error:
            raise UsageError(
                f"cannot speak gRPC: {error.name or error} is not installed", 'pip install "debloat[grpc]"'
            ) from None
        self._grpc: Any = grpc
        self._health: Any = health_pb2
        self._asking: Any = reflection_pb2
        self._files: Any = descriptor_pb2
        self._pool: Any = descriptor_pool.DescriptorPool()
        self._known: Any = descriptor_pool.Default()
        self._message_class: Any = message_factory.GetMessageClass
        self._as_json: Any = json_format.MessageToJson
        self._timeout = timeout
        self._names = names
        self._descriptions: dict[str, Any] | None = None
        self._services: tuple[str, ...] = ()
        options: list[tuple[str, int | str]] = [
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.max_receive_message_length", MAX_MESSAGE),
        ]
        target = f"127.0.0.1:{port}"
        if scheme == "https":
            certificate, name = _certificate(port, timeout)
            options.append(("grpc.ssl_target_name_override", name))
            self._channel: Any = grpc.secure_channel(
                target, grpc.ssl_channel_credentials(root_certificates=certificate or None), options=options
            )
        else:
            self._channel = grpc.insecure_channel(target, options=options)

    def close(self) -> None:
        self._channel.close()

    def call(self, method: str, name: str) -> ProbeResult:
        """Make a call with an empty request, or ask for health or reflection. What the server does never raises.

        `status` of the result is the code of gRPC; `name` is the probe's.
        """
        try:
            if method == REFLECTION:
                return self._result(name, "\n".join(self._reflected()).encode())
            answer = self._channel.unary_unary(method)(b"", timeout=self._timeout)
            if method == HEALTH:
                return self._of_health(name, answer)
            return self._result(name, self._text(method, answer))
        except self._grpc.RpcError as error:
            code, details = error.code(), str(error.details() or "")
            # A web server that knows HTTP/2 answers too, as one.
            is_web = details.startswith("Received http2 header with status")
            number = UNAVAILABLE if is_web else code.value[0] if isinstance(code.value, tuple) else 2
            ok = number not in _FAILURES
            told = f"{code.name}: {details}".encode("utf-8", "replace")
            return ProbeResult(
                name, ok, number, (), shape(told, *self._names), excerpt(told), "" if ok else excerpt(told)
            )
        except (ValueError, TypeError, self._message_error()) as error:
            return ProbeResult(name, False, 13, detail=f"{type(error).__name__}: {error}")

    def _message_error(self) -> type[Exception]:
        from google.protobuf.message import Error

        error: type[Exception] = Error
        return error

    def _result(self, name: str, data: bytes) -> ProbeResult:
        return ProbeResult(name, True, OK, (), shape(data, *self._names), excerpt(data))

    def _of_health(self, name: str, answer: bytes) -> ProbeResult:
        kinds = self._health.HealthCheckResponse
        state = kinds.ServingStatus.Name(kinds.FromString(answer).status)
        result = self._result(name, state.encode())
        if state == "NOT_SERVING":
            return ProbeResult(name, False, OK, (), result.shape, state, f"its health is {state}")
        return result

    def methods(self) -> list[str]:
        """The unary calls (`/shop.Cart/List`) that take an empty request, those that remove something last.

        None where the server has no reflection, and none that ends the server, by its name.
        """
        self._described()
        found = []
        for service in self._services:
            for file in (self._descriptions or {}).values():
                for described in file.service:
                    if service == ".".join(filter(None, (file.package, described.name))):
                        found += [f"/{service}/{method.name}" for method in described.method if self._is_plain(method)]
        usable = [m for m in sorted(set(found)) if not _ENDS.search(m.rpartition("/")[2])]
        return sorted(usable, key=lambda m: (bool(_REMOVES.search(m.rpartition("/")[2])), m))[:MAX_CALLS]

    def _is_plain(self, method: Any) -> bool:
        if method.client_streaming or method.server_streaming:
            return False
        message = self._message(method.input_type)
        return message is not None and not message.fields

    def _message(self, name: str) -> Any:
        try:
            return self._pool.FindMessageTypeByName(name.removeprefix("."))
        except KeyError:
            return None

    def _text(self, method: str, answer: bytes) -> bytes:
        """An answer as JSON, if reflection knows its type: fields in an order, times and ids as texts."""
        service, _, name = method[1:].partition("/")
        for file in (self._descriptions or self._described()).values():
            for described in file.service:
                if service != ".".join(filter(None, (file.package, described.name))):
                    continue
                for one in described.method:
                    message = self._message(one.output_type) if one.name == name else None
                    if message is not None:
                        value = self._message_class(message).FromString(answer)
                        with contextlib.suppress(TypeError, ValueError, KeyError):  # of a type that is not described
                            return str(self._as_json(value, sort_keys=True, descriptor_pool=self._pool)).encode()
        return answer

    def _described(self) -> dict[str, Any]:
        with contextlib.suppress(self._grpc.RpcError):
            self._reflected()
        return self._descriptions or {}

    def _reflected(self) -> list[str]:
        """The services and their methods, by reflection; RpcError where there is none."""
        if self._descriptions is None:
            for number, path in enumerate(_REFLECTIONS):
                try:
                    self._load(path)
                    break
                except self._grpc.RpcError as error:
                    if error.code() is not self._grpc.StatusCode.UNIMPLEMENTED or number:
                        raise
        return sorted(
            f"{'.'.join(filter(None, (file.package, service.name)))}/{method.name}"
            for file in (self._descriptions or {}).values()
            for service in file.service
            for method in service.method
        )

    def _load(self, path: str) -> None:
        listing = self._ask(path, self._asking.ServerReflectionRequest(list_services=""))
        services = tuple(sorted(s.name for a in listing for s in a.list_services_response.service))
        found: dict[str, Any] = {}
        wanted = [self._asking.ServerReflectionRequest(file_containing_symbol=name) for name in services[:MAX_FILES]]
        for _ in range(MAX_FILES):
            if not wanted:
                break
            batch, wanted = wanted[:MAX_FILES], []
            for data in (d for a in self._ask(path, *batch) for d in a.file_descriptor_response.file_descriptor_proto):
                file = self._files.FileDescriptorProto.FromString(data)
                if len(found) < MAX_FILES:
                    found.setdefault(file.name, file)
            missing = {name for file in found.values() for name in file.dependency} - set(found)
            asked = sorted(name for name in missing if not self._take_known(name, found))
            wanted = [self._asking.ServerReflectionRequest(file_by_filename=name) for name in asked]
            if len(found) >= MAX_FILES or {r.file_by_filename for r in wanted} == {r.file_by_filename for r in batch}:
                break
        for file in _in_order(found):
            with contextlib.suppress(TypeError):  # one that contradicts itself, or refers to what is not described
                self._pool.AddSerializedFile(file.SerializeToString())
        self._descriptions, self._services = found, services

    def _take_known(self, name: str, found: dict[str, Any]) -> bool:
        """Take a description from the library itself, which has those of Google."""
        try:
            data = self._known.FindFileByName(name).serialized_pb
        except KeyError:
            return False
        found[name] = self._files.FileDescriptorProto.FromString(data)
        return True

    def _ask(self, path: str, *requests: Any) -> list[Any]:
        call = self._channel.stream_stream(
            path,
            request_serializer=self._asking.ServerReflectionRequest.SerializeToString,
            response_deserializer=self._asking.ServerReflectionResponse.FromString,
        )
        answers = []
        for answer in call(iter(requests), timeout=self._timeout):
            answers.append(answer)
            if len(answers) == len(requests):
                break
        return answers


def _in_order(files: dict[str, Any]) -> Iterator[Any]:
    """Descriptions, each after those that it refers to."""
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> Iterator[Any]:
        if name in done or name in way or name not in files:
            return
        for other in sorted(files[name].dependency):
            yield from visit(other, (*way, name))
        if name not in done:
            done.add(name)
            yield files[name]

    for name in sorted(files):
        yield from visit(name, ())


def _certificate(port: int, timeout: float) -> tuple[bytes, str]:
    """The certificate of a port, and a name that it is for; both empty where it has none.

    What it is worth is the image's own affair, and gRPC has no way to say so: it is taken for its own authority.
    """
    try:
        pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=timeout)
        context = ssl.create_default_context(cadata=pem)
        context.check_hostname = False
        with (
            socket.create_connection(("127.0.0.1", port), timeout=timeout) as plain,
            context.wrap_socket(plain) as secured,
        ):
            told: Any = secured.getpeercert() or {}
    except (OSError, ValueError):
        return b"", ""
    names = [value for kind, value in told.get("subjectAltName", ()) if kind == "DNS"]
    names += [value for part in told.get("subject", ()) for key, value in part if key == "commonName"]
    return pem.encode(), names[0] if names else ""
