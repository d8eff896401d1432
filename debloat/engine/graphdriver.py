"""Where Docker's graph driver keeps the layers of an image: directories, which the engine tells of (`GraphDriver`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from debloat.engine.base import EngineInfo
from debloat.engine.inspection import mapping, text

OVERLAY = "overlay2"
_SELINUX = "/sys/fs/selinux/enforce"


def readable(info: EngineInfo) -> bool:
    """Whether layers in an engine's directories are what its containers see, and this process may mount them.

    Not where owners are other ids there, nor under SELinux, where the engine mounts them with labels of its own.
    """
    traits = info.traits
    own_ids = not (traits.rootless or traits.remapped)
    return info.local and info.storage == OVERLAY and own_ids and os.geteuid() == 0 and not os.path.exists(_SELINUX)


def directories(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """The directories of an image's layers, uppermost first, by what `GET /images/X/json` says of it.

    Empty where it says nothing of them, or one is not on this machine.
    """
    driver = mapping(raw, "GraphDriver")
    data = mapping(driver, "Data")
    found = (text(data, "UpperDir"), *text(data, "LowerDir").split(":")) if text(driver, "Name") == OVERLAY else ()
    named = tuple(path for path in found if path)
    return named if all(os.path.isabs(path) and os.path.isdir(path) for path in named) else ()
