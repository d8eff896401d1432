"""What containers of debloat's own engine have here, and what installing or allowing would better."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from debloat.core.errors import EngineUnavailable
from debloat.embedded import runtime, seccomp, userns


class Fact(Struct, frozen=True):
    """One thing that was looked at: whether it is as it should be, what was seen, and what to do where it is not."""

    subject: str
    ok: bool
    seen: str
    remedy: str = ""


def facts(*, user: bool) -> Iterator[Fact]:
    """What works less well than it might; `user` where the engine's root is a user's own."""
    where = "in a container, " if userns.in_container() else ""
    whose = "as root of a user namespace" if user else "as root"
    yield Fact("privileges", True, where + whose)
    profile = next((path for path in seccomp.PROFILES if path.exists()), None)
    yield Fact(
        "seccomp profile",
        profile is not None,
        str(profile or "debloat's own, which refuses what reaches beyond a container"),
        "apt-get install golang-github-containers-common, for the profile that engines share",
    )
    try:
        yield Fact("init", True, runtime.init())
    except EngineUnavailable as error:
        yield Fact("init", False, "none, so that --init cannot be used", error.hint)
