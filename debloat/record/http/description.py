"""OpenAPI documents as they are written: JSON or YAML, with references (RFC 6901, RFC 3986) in place of parts."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from debloat.core.apis import MAX_DESCRIPTION
from debloat.core.errors import UsageError

MAX_FILES = 50
"""Further files that the references of a document may lead to."""
MAX_REFERENCES = 20
"""References that lead from one to the next."""
_MAX_MERGED = 10_000
"""Keys of a table: those of YAML may be merged of others, and those of others, without an end in sight."""

_OPENAPI_HINT = "OpenAPI 2.0, 3.0, 3.1 and 3.2 are known, as JSON or YAML"
_KNOWN = re.compile(r"2\.0|3\.[0-2](?:\.\d{1,3})?(?:-[\w.]{1,20})?")


class Description:
    """A document, and what its references lead to. `directory` is where those to other files begin, None for nowhere.

    Where there is none, and in a document that has a fault there, a reference leads to an empty table.
    """

    def __init__(self, document: Mapping[str, Any], name: str, directory: Path | None = None) -> None:
        self.document = document
        self.name = name
        self._directory = directory
        self._files: dict[str, Any] = {"": document}

    @property
    def version(self) -> int:
        """2 or 3."""
        return 2 if "swagger" in self.document else 3

    def resolved(self, part: Any, base: str = "") -> tuple[dict[str, Any], str, tuple[str, ...]]:
        """What a part is that may be a reference: it, the file that it stands in, and the references on the way.

        `base` is the file of the part itself. Keys that stand beside a reference lie over what it leads to.
        """
        way: list[str] = []
        over: dict[str, Any] = {}
        while isinstance(part, Mapping) and isinstance(part.get("$ref"), str) and len(way) < MAX_REFERENCES:
            over = {**{key: value for key, value in part.items() if key != "$ref"}, **over}
            file, _, pointer = part["$ref"].partition("#")
            base = self._beside(base, file) if file else base
            way.append(f"{base}#{pointer}")
            part = self._at(base, pointer)
        if not isinstance(part, Mapping) or "$ref" in part:
            return {}, base, tuple(way)
        return {**part, **over}, base, tuple(way)

    def _beside(self, base: str, file: str) -> str:
        return str(Path(base).parent / unquote(file)) if base else unquote(file)

    def _at(self, base: str, pointer: str) -> Any:
        value = self._file(base)
        for token in pointer.split("/")[1:]:
            token = unquote(token).replace("~1", "/").replace("~0", "~")
            if isinstance(value, Mapping):
                value = value.get(token)
            elif isinstance(value, list) and token.isascii() and token.isdigit() and int(token) < len(value):
                value = value[int(token)]
            else:
                return None
        return value

    def _file(self, name: str) -> Any:
        if name not in self._files:
            # An address of another host is nothing to ask for, and no file either.
            if self._directory is None or "://" in name or len(self._files) > MAX_FILES:
                return None
            self._files[name] = _parsed(_read(self._directory / name, self.name), name)
        return self._files[name]


def of_file(path: str) -> Description:
    """The description in a file; UsageError for one that is none."""
    return _description(_read(Path(path), path), path, Path(path).parent)


def of_answer(data: bytes, name: str) -> Description:
    """The description that a service gave; UsageError for what is none."""
    return _description(data, name)


def _description(data: bytes, name: str, directory: Path | None = None) -> Description:
    document = _parsed(data, name)
    if not isinstance(document, Mapping):
        raise UsageError(f"{name} is not an OpenAPI document: it is no table", _OPENAPI_HINT)
    version = document.get("openapi", document.get("swagger"))
    if version is None:
        raise UsageError(f"{name} is not an OpenAPI document: it names no version", _OPENAPI_HINT)
    if not _KNOWN.fullmatch(str(version)):
        raise UsageError(f"{name} is OpenAPI {str(version)[:20]!r}, which is not known", _OPENAPI_HINT)
    if not isinstance(document.get("paths"), Mapping):
        raise UsageError(f"{name} is not an OpenAPI document: it has no paths", _OPENAPI_HINT)
    return Description(document, name, directory)


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_DESCRIPTION + 1)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{name}: cannot read {path}: {cause}", "keep the files that it refers to beside it") from None
    if len(data) > MAX_DESCRIPTION:
        raise UsageError(f"{path} has more than {MAX_DESCRIPTION >> 20} MB", "leave out what it need not have")
    return data


def _parsed(data: bytes, name: str) -> Any:
    try:
        text = data.decode("utf-8-sig")
        if text.lstrip()[:1] in ("{", "["):
            return json.loads(text)
        return _yaml(text, name)
    except RecursionError:
        cause = "it is nested too deeply"
    except (ValueError, UnicodeDecodeError) as error:
        cause = " ".join(str(error).split())[:160]
    raise UsageError(f"{name} is not an OpenAPI document: {cause}", _OPENAPI_HINT)


def _yaml(text: str, name: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise UsageError(
            f"cannot read {name}: {error.name or error} is not installed", 'pip install "debloat[http]"'
        ) from None
    try:
        return yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


@functools.cache
def _loader() -> Any:
    """A loader of plain values, with times as the texts that they are: JSON has none."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def flatten_mapping(self, node: Any) -> None:
            super().flatten_mapping(node)
            if len(node.value) > _MAX_MERGED:
                raise yaml.YAMLError("a table that is merged of others is too large")

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader
