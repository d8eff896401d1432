"""A small web shop (ASGI) that behaves as web applications do: sessions, forms with tokens, uploads, an API.

`serving` runs it under Hypercorn, in a process of its own on the loopback.
"""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import json
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

ROOT = Path(__file__).resolve().parents[2]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PAGES = {
    "/": '<a href="/about">us</a> <a href="cart?item=1#top">cart</a> <a href="/logout">bye</a> <a href="/broken">x</a>'
    '<link rel="stylesheet" href="/style.css"> <a href="http://elsewhere.invalid/">other</a> <a href="mailto:a@b">m</a>'
    '<a href="/deep/1">deep</a> <a href="/loop">loop</a><script src="//127.0.0.2/x.js"></script>',
    "/about": '<base href="/help/"><a href="faq">faq</a><a href="/">home</a>',
    "/help/faq": "answers",
    "/cart?item=1": "one item",
    "/style.css": "body { color: red }",
    "/welcome": "<h1>Welcome</h1>",
    **{f"/deep/{n}": f'<a href="{n + 1}">deeper</a>' for n in range(1, 20)},
}

_sessions: dict[str, str] = {}
_tokens: set[str] = set()


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = scope["query_string"].decode()
    path = scope["path"] + (f"?{query}" if query else "")
    status, answer, extra = _answer(scope, path, headers, body)
    kind = b"application/json" if answer[:1] in (b"{", b"[") else b"text/html; charset=utf-8"
    kind = b"text/css" if path.endswith(".css") else kind
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", kind), *((k.encode(), v.encode()) for k, v in extra)],
        }
    )
    await send({"type": "http.response.body", "body": answer})


def _answer(
    scope: Message, path: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, bytes, list[tuple[str, str]]]:
    method, route = scope["method"], scope["path"]
    cookies = dict(pair.strip().partition("=")[::2] for pair in headers.get("cookie", "").split(";"))
    user = _sessions.get(cookies.get("session", ""), "")
    if route == "/login" and method == "GET":
        token = secrets.token_hex(8)
        _tokens.add(token)
        form = (
            f'<form action="" method="post"><input type="hidden" name="csrf" value="{token}"><input name="user"></form>'
        )
        return 200, form.encode(), [("set-cookie", "theme=dark; Path=/")]
    if route == "/login" and method == "POST":
        fields = parse_qs(body.decode())
        if fields.get("csrf", [""])[0] not in _tokens or fields.get("password") != ["secret"]:
            return 403, b"no", []
        session = secrets.token_hex(8)
        _sessions[session] = fields["user"][0]
        return 302, b"", [("set-cookie", f"session={session}; Path=/; HttpOnly"), ("location", "/account")]
    if route == "/account":
        return (200, f"Signed in as {user}".encode(), []) if user else (401, b"who are you?", [])
    if route == "/upload":
        return 200, json.dumps(_parts(headers["content-type"], body)).encode(), []
    if route == "/echo":
        told = {"method": method, "headers": headers, "cookies": cookies, "body": body.decode("utf-8", "replace")}
        return 200, json.dumps({**told, "version": scope["http_version"], "scheme": scope["scheme"]}).encode(), []
    if route == "/basic":
        right = headers.get("authorization") == "Basic " + base64.b64encode(b"ada:secret").decode()
        return (200, b"in", []) if right else (401, b"", [("www-authenticate", 'Basic realm="shop"')])
    if route == "/token":
        return 200, ("token=" + "".join(secrets.choice("abcdefgh") for _ in range(12))).encode(), []
    if route == "/broken":
        return 500, b"broken", []
    if route == "/maintenance":
        return 503, b"later", []
    if route == "/loop":
        return 302, b"", [("location", f"http://{headers['host']}/welcome")]
    page = PAGES.get(path) if method in ("GET", "HEAD") else None
    return (200, page.encode(), []) if page is not None else (404, b"no such page", [])


def _parts(content_type: str, body: bytes) -> dict[str, Any]:
    message = email.message_from_bytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body, policy=email.policy.HTTP
    )
    parts = {}
    for part in message.walk():
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        if not isinstance(content, bytes):
            continue
        parts[name] = {
            "filename": part.get_filename(),
            "bytes": len(content),
            "text": content.decode("utf-8", "replace"),
        }
    return parts


@contextlib.contextmanager
def serving(application: str = "tests.support.shop:app", *options: str) -> Iterator[int]:
    """Serve an ASGI application under Hypercorn: the port. It listens before its process has started."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        argv = [sys.executable, "-m", "hypercorn", application, "--bind", f"fd://{listener.fileno()}", *options]
        with subprocess.Popen(
            argv, cwd=ROOT, pass_fds=[listener.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield listener.getsockname()[1]
            finally:
                process.terminate()


@contextlib.contextmanager
def database() -> Iterator[int]:
    """A server of a protocol of its own, which refuses what it does not know: the port."""

    def refuse(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(b"-ERR unknown command\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=refuse, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]


def certificate(directory: Path) -> tuple[str, ...]:
    """Options for Hypercorn to serve TLS with a certificate that nobody has signed."""
    key, cert = str(directory / "key.pem"), str(directory / "cert.pem")
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=shop.invalid")
    argv = ("openssl", "req", "-x509", *kind, "-days", "2", "-keyout", key, "-out", cert)
    subprocess.run(argv, check=True, capture_output=True)
    return ("--keyfile", key, "--certfile", cert)
