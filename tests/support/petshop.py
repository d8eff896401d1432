"""A service (ASGI) that describes itself by OpenAPI, and has a chat over WebSocket.

`/log` tells what it was asked: method, path with query, type of content and body of each request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from tests.support.shop import Message, Receive, Send

PET = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {
        "id": {"type": "integer", "readOnly": True},
        "name": {"type": "string", "minLength": 2, "maxLength": 20},
        "age": {"type": "integer", "minimum": 2, "maximum": 40},
        "tag": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{2}$"},
        "kind": {"enum": ["cat", "dog"]},
        "friend": {"$ref": "#/components/schemas/Pet"},
        "born": {"type": "string", "format": "date"},
    },
}
ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
JSON_PET = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Pets", "version": "1"},
    "servers": [{"url": "https://pets.example/{base}", "variables": {"base": {"default": "api"}}}],
    "paths": {
        "/pets": {
            "get": {
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "example": 5}},
                    {"name": "kind", "in": "query", "schema": {"type": "array", "items": {"enum": ["cat", "dog"]}}},
                ]
            },
            "post": {"requestBody": {"required": True, **JSON_PET}},
        },
        "/pets/{id}": {
            "parameters": [ID],
            "delete": {},
            "get": {},
            "put": {"requestBody": {"$ref": "#/components/requestBodies/Pet"}},
        },
        "/broken": {"get": {}},
        "/busy": {"get": {}},
        "/secret": {"get": {}},
        "/old": {"get": {"deprecated": True}},
        "/photos": {
            "post": {
                "requestBody": {
                    "content": {
                        "multipart/form-data": {
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "title": {"type": "string"},
                                    "photo": {"type": "string", "format": "binary"},
                                },
                            }
                        }
                    }
                }
            }
        },
        "/contact": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {"properties": {"mail": {"type": "string", "format": "email"}}}
                        }
                    }
                }
            }
        },
    },
    "components": {"schemas": {"Pet": PET}, "requestBodies": {"Pet": JSON_PET}},
}

_pets: dict[int, Any] = {}
_log: list[dict[str, str]] = []


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await _chat(scope, receive, send)
    else:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        status, answer = _answer(scope, headers, body.decode("utf-8", "replace"))
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": kind})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def _answer(scope: Message, headers: Mapping[str, str], body: str) -> tuple[int, Any]:
    method, path, query = scope["method"], scope["path"], scope["query_string"].decode()
    if path == "/log":
        return 200, _log
    target = path + (f"?{query}" if query else "")
    _log.append({"request": f"{method} {target}", "type": headers.get("content-type", ""), "body": body})
    if path == "/openapi.json":
        return 200, DOCUMENT
    if path == "/api/login":
        return 200, {"tokens": [{"access": "s3cret"}]}
    if path == "/api/secret":
        return (200, "in") if headers.get("authorization") == "Bearer s3cret" else (401, "who are you?")
    if path == "/api/broken":
        return 500, "broken"
    if path == "/api/busy":
        return 503, "busy"
    if path == "/api/pets" and method == "GET":
        return 200, {"pets": list(_pets.values()), "limit": parse_qs(query).get("limit")}
    if path == "/api/pets" and method == "POST":
        return _created(body)
    if (match := re.fullmatch(r"/api/pets/(\d+)", path)) and int(match[1]) in _pets:
        if method == "DELETE":
            return 200, _pets.pop(int(match[1]))
        return 200, _pets[int(match[1])]
    return (200, "seen") if path in ("/api/photos", "/api/contact") else (404, "none")


def _created(body: str) -> tuple[int, Any]:
    pet = json.loads(body)
    if not 2 <= len(pet["name"]) <= 20 or not 2 <= pet["age"] <= 40 or "id" in pet:
        return 422, "no pet"
    _pets[len(_pets) + 1] = pet
    return 201, pet


async def _chat(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    path = scope["path"]
    cookies = {k.decode(): v.decode() for k, v in scope["headers"]}.get("cookie", "")
    if path == "/refused":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    if path == "/greeting":
        await send({"type": "websocket.send", "text": f"welcome, cookies: {cookies}"})
    while (message := await receive())["type"] == "websocket.receive":
        if path == "/hangs-up":
            await send({"type": "websocket.close", "code": 1011})
            return
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": f"noise {len(_log)}"})
            await send({"type": "websocket.send", "text": f"you said {message['text']}"})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
