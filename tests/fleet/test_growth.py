"""A large fleet: its coordinator holds a row an image."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.snippets import ROOT

IMAGES = 10_000
MOST = 200 << 20
"""Bytes of memory."""

COORDINATOR = """
import json, sys
from pathlib import Path
from msgspec.structs import asdict, replace
from debloat.fleet import config, run
from debloat.fleet.ledger import Ledger
from debloat.fleet.local import LocalExecutor
from debloat.fleet.model import Finished, Outcome, Status, Verb, Worker
from debloat.fleet.plan import plan
from debloat.report import fleetjson
from debloat.report.fleetterminal import FleetProgress


def answer(request):
    if request["ask"] == "worker":
        return asdict(Worker("here", "engine", "1"))
    digest = "sha256:" + "0" * 64
    return {"sightings": [{"reference": r, "engine": "engine", "identity": digest} for r in request["references"]]}

def perform(task):
    row = Outcome(task.key, task.name, Status.DONE, task.verb, task.target, task.identity, engine="engine")
    return Finished(replace(row, bytes_before=2, bytes_after=1))

fleet = config.read(Path(sys.argv[1]))
items = plan(fleet, Verb.RUN, "1", lambda: ())
executor = LocalExecutor(4, answer, perform)
report = run.run(fleet.path, items, Verb.RUN, executor, Ledger(Path(sys.argv[2])), FleetProgress(True), "debloat 1")
Path(sys.argv[3]).write_text(fleetjson.render(report))
# Not ru_maxrss, which begins with what the process had before exec(2): that of the tests.
most = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(json.dumps({"done": report.count(Status.DONE), "kilobytes": int(most.split()[1])}))
"""


def test_ten_thousand_images_take_little_memory(tmp_path: Path) -> None:
    """Each has an entry of its own, with a recipe."""
    entries = [
        f'[[entry]]\nimage = "registry.example/team/shop-{n}:1"\nrecipe = {{ http = ["/{n}"] }}\n'
        for n in range(IMAGES)
    ]
    (tmp_path / "fleet.toml").write_text("".join(entries))
    argv = [sys.executable, "-c", COORDINATOR, *(str(tmp_path / name) for name in ("fleet.toml", "state", "report"))]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["done"] == IMAGES
    assert said["kilobytes"] * 1024 < MOST
