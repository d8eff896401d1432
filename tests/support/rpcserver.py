"""A gRPC server (grpcio) with health and reflection, in a process of its own: `serving()` gives its port."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

from tests.support.shop import ROOT


def main(without: tuple[str, ...], tls: Path | None) -> None:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection

    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/empty.proto")
    file.message_type.add(name="Nothing")
    item = file.message_type.add(name="Item")
    item.field.add(name="name", number=1, type=9, label=1)
    items = file.message_type.add(name="Items")
    items.field.add(name="item", number=1, type=11, label=3, type_name=".shop.Item")
    cart = file.service.add(name="Cart")
    for name, takes, streams in (
        ("List", ".google.protobuf.Empty", False),
        ("Clear", ".shop.Nothing", False),
        ("Broken", ".shop.Nothing", False),
        ("Denied", ".shop.Nothing", False),
        ("Shutdown", ".shop.Nothing", False),
        ("Add", ".shop.Item", False),
        ("Watch", ".shop.Nothing", True),
    ):
        cart.method.add(name=name, input_type=takes, output_type=".shop.Items", server_streaming=streams)
    pool: Any = descriptor_pool.Default()
    from google.protobuf import empty_pb2

    assert empty_pb2
    pool.AddSerializedFile(file.SerializeToString())
    message: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Items"))
    kept = ["apple", "pear"]

    def answer(name: str) -> Any:
        def handle(request: bytes, context: Any) -> bytes:
            if name == "Broken":
                raise ValueError("broken")
            if name == "Denied":
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
            if name == "Shutdown":
                os._exit(1)
            if name == "Clear":
                kept.clear()
            made = message()
            for one in kept:
                made.item.add(name=one)
            data: bytes = made.SerializeToString()
            return data

        return grpc.unary_unary_rpc_method_handler(handle)

    server = grpc.server(futures.ThreadPoolExecutor(4))
    handlers = {method.name: answer(method.name) for method in cart.method if not method.server_streaming}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Cart", handlers),))
    if "health" not in without:
        service = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(service, server)
        if "serving" in without:
            service.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    if "reflection" not in without:
        reflection.enable_server_reflection(("shop.Cart", reflection.SERVICE_NAME), server)
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = ((tls / "key.pem").read_bytes(), (tls / "cert.pem").read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials((pair,)))
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination(600)


@contextlib.contextmanager
def serving(*without: str, tls: Path | None = None) -> Iterator[int]:
    """Run the server without some of `health`, `reflection`, `serving`; `tls` has its key.pem and cert.pem."""
    argv = [sys.executable, "-m", "tests.support.rpcserver", ",".join(without), str(tls or "")]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    main(tuple(sys.argv[1].split(",")), Path(sys.argv[2]) if sys.argv[2] else None)
