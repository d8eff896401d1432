"""What the last run of an image saw, remembered on this machine, so that `debloat why` can explain it later."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.core.model import Level, Policy, Trace, Want
from debloat.core.written import written_whole
from debloat.record import trace

if TYPE_CHECKING:
    from debloat.result import Outcome


REMEMBERED = 200
"""Files kept, two a run: each of some hundred kilobytes."""


class Run(Struct, frozen=True):
    """A remembered run: the original image's identity, id and place, what was recorded, the policy, what was healed."""

    image: str
    names: tuple[str, ...]
    trace: Trace
    policy: Policy
    healed: tuple[Want, ...]


def directory() -> Path:
    """Where runs are remembered: `$XDG_STATE_HOME/debloat/runs`."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "debloat" / "runs"


def remember(outcome: Outcome, where: str) -> None:
    """Remember a run on the image `where` under the identities of the original and the minimal image.

    Best effort: a full disk spoils no result.
    """
    policy = outcome.world.policy
    document = {
        "version": 2,
        "image": outcome.image.identity,
        "names": [outcome.image.id, where],
        "policy": {
            "level": str(policy.level),
            "levels": [[glob, str(level)] for glob, level in policy.levels],
            "keep": policy.keep,
            "drop": policy.drop,
            "keep_packages": policy.keep_packages,
            "packages": policy.packages,
        },
        "healed": [[w.path, w.rule, w.source, w.detail, w.follow] for w in outcome.healed],
        "trace": trace.dump(outcome.world.trace).decode(),
    }
    data = json.dumps(document).encode()
    with contextlib.suppress(OSError, UsageError):
        for name in (outcome.image.identity, outcome.minimal.identity):
            with written_whole(directory() / f"{name.partition(':')[2]}.json") as draft:
                draft.write_bytes(data)
        _forget(REMEMBERED)


def _forget(keep: int) -> None:
    """Remove all but the `keep` files written last."""
    files = sorted(directory().glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in files[: max(0, len(files) - keep)]:
        path.unlink(missing_ok=True)


def recall(identity: str) -> Run | None:
    """The last run that made, or was made from, an image; None where none is remembered."""
    path = directory() / f"{identity.partition(':')[2]}.json"
    try:
        raw = json.loads(path.read_bytes())
        policy = raw["policy"]
        return Run(
            raw["image"],
            tuple(raw["names"]),
            trace.parse(raw["trace"].encode(), str(path)),
            Policy(
                Level[policy["level"].upper()],
                tuple((glob, Level[level.upper()]) for glob, level in policy["levels"]),
                tuple(policy["keep"]),
                tuple(policy["drop"]),
                tuple(policy["keep_packages"]),
                tuple((package, purpose) for package, purpose in policy.get("packages", ())),
            ),
            tuple(Want(*row) for row in raw["healed"]),
        )
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return None
