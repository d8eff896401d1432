"""What runs within a worker of a cluster: requests go on to processes of their own, a set of them for each run.

Nothing here needs the cluster's library but to say which worker it is.
"""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

from debloat.fleet import work
from debloat.fleet.child import Children

_runs: dict[str, Children] = {}
_guard = threading.Lock()


def _children(run: str) -> Children:
    with _guard:
        return _runs.setdefault(run, Children())


def ask(run: str, request: str) -> str:
    """Have a request (JSON) of a run answered: the answer, the log and the worker's address, as JSON."""
    from distributed import get_worker

    said = _children(run).ask(json.loads(request))
    log = base64.b64encode(said.log).decode()
    reply: dict[str, Any] = {"answer": said.answer, "log": log, "worker": get_worker().address}
    return work.as_text(reply)


def end(run: str) -> None:
    """End what is at work for a run, and let nothing more begin; does not wait for it."""
    threading.Thread(target=_children(run).end, daemon=True).start()
