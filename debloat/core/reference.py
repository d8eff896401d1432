"""Image references: how an engine reads them, and what the result of a run is called."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from debloat.core.errors import UsageError
from debloat.core.model import Image


def spare_original(image: Image, target: str) -> None:
    """UsageError where the result would take a name from the original."""
    if _is_of(image, target):
        raise UsageError(
            f"cannot name the result {target}: that is the original's name, which stays its own",
            f"choose another with -t, for example {default_target(target)}",
        )


def spare_names(image: Image, target: str, canary: str) -> None:
    """UsageError where the canary of a result called `target` would take a name from that or from the original.

    Nothing is said of an empty `canary`: there is none.
    """
    whose = "original" if _is_of(image, canary) else "minimal image" if full_name(canary) == full_name(target) else ""
    if canary and whose:
        raise UsageError(
            f"cannot name the canary {canary}: that is the {whose}'s name, which stays its own",
            f"choose another with --canary, for example {default_target(image.reference)}-canary",
        )


def _is_of(image: Image, name: str) -> bool:
    return full_name(name) in {full_name(own) for own in (image.reference, *image.names)}


def full_name(reference: str) -> str:
    """A reference as the engine understands it: `nginx` is `docker.io/library/nginx:latest`."""
    name = reference.removeprefix("index.docker.io/").removeprefix("docker.io/")
    if "/" not in name:
        name = f"docker.io/library/{name}"
    elif not _names_registry(name):
        name = f"docker.io/{name}"
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"


def _names_registry(reference: str) -> bool:
    host, slash, _ = reference.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def default_target(reference: str) -> str:
    """`NAME:TAG-slim`; of a reference by digest or id, `NAME:slim` or `debloat:ID-slim`."""
    name, at, _ = reference.partition("@")
    if at:
        return f"{name.rpartition(':')[0] if ':' in name.rpartition('/')[2] else name}:slim"
    if reference.startswith("sha256:"):
        return f"debloat:{reference.removeprefix('sha256:')[:12]}-slim"
    head, slash, last = reference.rpartition("/")
    repository, _, tag = last.partition(":")
    return f"{head}{slash}{repository}:{tag or 'latest'}-slim"


_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_NAMED = (
    rf"(?:(?:\[[0-9a-fA-F:]+\]|(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+)(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[\w][\w.-]{0,127})?"
)
_NAME = re.compile(_NAMED, re.ASCII)
_REFERENCE = re.compile(
    rf"{_NAMED}(?:@[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{{32,}})?|sha256:[0-9a-f]{{1,64}}", re.ASCII
)
"""`NAME[:TAG][@DIGEST]` or an id (github.com/distribution/reference, `reference.go`)."""


_MOST = 255
"""Characters of a name with its registry, as engines count them: `shop` is `docker.io/library/shop`."""
_NAME_HINT = f"write NAME:TAG, the name in lower case and of at most {_MOST} characters, the tag of at most 128"


def is_name(text: str) -> bool:
    """Whether an image can be called so, `NAME[:TAG]`."""
    return _NAME.fullmatch(text) is not None and len(full_name(text).rpartition(":")[0]) <= _MOST


def must_be_name(text: str, what: str) -> None:
    """UsageError for what no image can be called, `NAME[:TAG]`; `what` is the option or the key that says it."""
    if not is_name(text):
        raise UsageError(f"{what} {text!r} is not an image name", _NAME_HINT)


def must_be_reference(text: str, command: str) -> None:
    """UsageError for what no image can be called, with what it is instead; `command` is the engine's."""
    if not _REFERENCE.fullmatch(text):
        must_not_be_a_file(text, command)
        raise UsageError(
            f"{text!r} is not an image reference", "write NAME:TAG, the name in lower case, or an image's id"
        )


def must_not_be_a_file(text: str, command: str) -> None:
    """UsageError where a directory to build or a file on this machine was named in place of an image."""
    path = Path(text)
    try:
        if (path / "oci-layout").is_file():
            raise UsageError(f"{text} is an OCI layout, not an image of the engine", f"name it oci:{text}")
        if path.is_dir() and (_named_as_path(text) or (path / "Dockerfile").exists()):
            raise UsageError(f"{text} is a directory, not an image", f"`debloat build {text}` builds and slims it")
        if path.is_file():
            if not tarfile.is_tarfile(path):
                raise UsageError(f"{text} is a file, not an image", "name an image of the engine")
            raise UsageError(
                f"{text} is an archive, not an image of the engine",
                f"docker-archive:{text} names one that `{command} save` wrote, oci-archive:{text} one of an OCI layout",
            )
    except (OSError, ValueError):
        return


def _named_as_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or text.endswith("/")


def result_name(image: Image, asked: str, registry: str) -> str:
    """The name of the result of a run on an image: what was asked for, else the default.

    That is made of the image's reference, or of its id where an id named it, however short. A name without a registry
    gets `registry` in front, where the engine has one for such names. UsageError for the original's own name, and for
    one that no image can have.
    """
    reference = image.reference
    named_by_id = re.fullmatch(r"[0-9a-f]{4,64}", reference) and image.id.startswith(f"sha256:{reference}")
    target = qualified(asked or default_target(image.id if named_by_id else reference), registry)
    spare_original(image, target)
    if not is_name(target):
        raise UsageError(f"cannot name the result {target}: no image can be called so", f"choose with -t: {_NAME_HINT}")
    return target


def qualified(reference: str, registry: str) -> str:
    """A name with `registry` in front, unless it names one itself or `registry` is empty."""
    return f"{registry}/{reference}" if registry and not _names_registry(reference) else reference


def split_reference(reference: str) -> tuple[str, str]:
    """`NAME:TAG` as (NAME, TAG); the tag is `latest` where none is given, a registry's port is no tag."""
    head, slash, last = reference.rpartition("/")
    name, _, tag = last.partition(":")
    return head + slash + name, tag or "latest"


def has_tag(reference: str) -> bool:
    """Whether a reference says which image of its name is meant, by a tag or a digest."""
    return ":" in reference.rpartition("/")[2] or "@" in reference
