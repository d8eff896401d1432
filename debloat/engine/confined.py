"""The security options of a container, as an engine takes them (`docker run --security-opt`)."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

from debloat.core.errors import UsageError
from debloat.engine.base import ContainerSpec, EngineInfo


@contextlib.contextmanager
def security_options(spec: ContainerSpec, info: EngineInfo) -> Iterator[list[str]]:
    """`SecurityOpt` of a container, good while it is created.

    Docker takes the text of a seccomp profile, Podman the name of a file on its machine, which it reads at once.
    """
    options = ["no-new-privileges"] if spec.no_new_privs else []
    if not spec.seccomp:
        yield options
    elif info.traits.product != "podman":
        yield [*options, f"seccomp={spec.seccomp}"]
    elif not info.local:
        raise UsageError(
            "cannot run a container under a seccomp profile: Podman reads that from a file of its own machine",
            "run debloat there, or leave out --seccomp",
        )
    else:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="debloat-seccomp-") as file:
            file.write(spec.seccomp)
            file.flush()
            yield [*options, f"seccomp={file.name}"]
