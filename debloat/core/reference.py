"""Image references: how an engine reads them, and what the result of a run is called."""

from __future__ import annotations

from debloat.core.errors import UsageError
from debloat.core.model import Image


def spare_original(image: Image, target: str) -> None:
    """UsageError where the result would take a name from the original."""
    if full_name(target) in {full_name(name) for name in (image.reference, *image.names)}:
        raise UsageError(
            f"cannot name the result {target}: that is the original's name, which stays its own",
            f"choose another with -t, for example {default_target(target)}",
        )


def full_name(reference: str) -> str:
    """A reference as the engine understands it: `nginx` is `docker.io/library/nginx:latest`."""
    name = reference.removeprefix("index.docker.io/").removeprefix("docker.io/")
    host = name.partition("/")[0]
    if "/" not in name:
        name = f"docker.io/library/{name}"
    elif not ("." in host or ":" in host or host == "localhost"):
        name = f"docker.io/{name}"
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"


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


def split_reference(reference: str) -> tuple[str, str]:
    """`NAME:TAG` as (NAME, TAG); the tag is `latest` where none is given, a registry's port is no tag."""
    head, slash, last = reference.rpartition("/")
    name, _, tag = last.partition(":")
    return head + slash + name, tag or "latest"
