"""Items carried out by a Dask cluster: any scheduler, and workers wherever they are, each with the engine it finds.

What goes there and comes back is text. A worker that dies has its items given to others by the scheduler; it ends the
processes that it started with it (`child`).
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import queue
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from debloat.core.errors import DebloatError, WorkersUnavailable
from debloat.fleet import remote, work
from debloat.fleet.executor import Follow, Sighting
from debloat.fleet.ledger import LOG
from debloat.fleet.local import ATTEMPTS, failed
from debloat.fleet.model import Finished, Task, Worker

if TYPE_CHECKING:
    from distributed import Client, Future

ANSWERS_WITHIN = 10.0
"""Seconds in which a scheduler has to answer."""
WORKERS_WITHIN = 30.0
"""Seconds in which a first worker has to come, at the beginning and whenever none is left."""
ENGINES_WITHIN = 120.0
"""Seconds in which workers have to say what engine they use, and what it knows of some hundred images."""
_GATHERED_WITHIN = 15.0
"""Seconds in which the result of an item has to come from the worker that has it."""
_CHUNK = 200
"""References that are looked at with one request."""
_LOOK = 1.0
"""Seconds after which the scheduler is asked what is at work."""
_VERSION = "__import__('debloat').__version__"
"""What every Python answers that has debloat, of whatever version."""


class DaskExecutor:
    """Workers of a scheduler. Nothing is connected to before `workers` is asked."""

    name = "dask"

    def __init__(self, address: str, version: str, platform: str = "") -> None:
        self._address = address
        self._version = version
        self._platform = platform
        self._run = uuid.uuid4().hex
        self._connected: Client | None = None
        self._by_engine: dict[str, list[str]] = {}
        """Addresses of the workers that use an engine."""
        self._workers: tuple[Worker, ...] = ()
        self._idle = True

    @property
    def _client(self) -> Client:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    def _connect(self) -> Client:
        try:
            from distributed import Client, Security
            from distributed.comm import connect
        except ImportError as error:
            raise WorkersUnavailable(
                f"cannot use a scheduler: {error.name or error} is not installed", 'pip install "debloat[fleet]"'
            ) from error
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is said here, once

        async def reached() -> None:
            args = Security().get_connection_args("client")
            await (await connect(self._address, timeout=ANSWERS_WITHIN, **args)).close()

        try:
            # A client waits without end for a peer that takes the connection and says nothing.
            asyncio.run(asyncio.wait_for(reached(), ANSWERS_WITHIN))
            return Client(self._address, timeout=ANSWERS_WITHIN, set_as_default=False, name="debloat-fleet")
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            raise WorkersUnavailable(
                f"cannot reach the scheduler {self._address}: {_reason(error, ANSWERS_WITHIN)}",
                "see that `dask scheduler` runs there, and that the address is HOST:PORT or tls://HOST:PORT",
            ) from error

    def _request(self, request: Mapping[str, Any]) -> str:
        return work.as_text({**request, "platform": self._platform, "version": self._version})

    # -------------------------------------------------------------------------------------- asking

    def workers(self) -> tuple[Worker, ...]:
        """The workers by address: all of this version, each with an engine that answers."""
        if not self._workers:
            self._workers = self._asked()
        return self._workers

    def _asked(self) -> tuple[Worker, ...]:
        slots = self._slots(WORKERS_WITHIN)
        versions = self._client.run(eval, _VERSION, on_error="return")
        for address, version in sorted(versions.items()):
            if version != self._version:
                has = "no debloat" if isinstance(version, BaseException) else f"debloat {version}"
                raise WorkersUnavailable(
                    f"cannot use the worker {address}: it has {has}, and this is debloat {self._version}",
                    "install the same version, with the extra `fleet`, wherever workers are started",
                )
        asked = {address: self._submit(self._request({"ask": "worker"}), [address]) for address in sorted(slots)}
        found = []
        for address, future in asked.items():
            worker = Worker(**self._answer(future, f"cannot use the worker {address}"))
            found.append(replace(worker, name=address, slots=slots[address]))
            self._by_engine.setdefault(worker.engine, []).append(address)
        return tuple(found)

    def _slots(self, within: float) -> dict[str, int]:
        """How many items each worker works on; WorkersUnavailable where none comes in time."""
        until = time.monotonic() + within
        while not (slots := dict(self._client.nthreads())):
            if time.monotonic() > until:
                raise WorkersUnavailable(
                    f"the scheduler {self._address} has no worker", "start some: `dask worker` with its address"
                )
            time.sleep(0.1)
        return slots

    def _submit(self, request: str, workers: list[str]) -> Future:
        return self._client.submit(remote.ask, self._run, request, workers=workers, pure=False)

    def _answer(self, future: Future, what: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(future.result(timeout=ENGINES_WITHIN))["answer"]
            return answer
        except DebloatError as error:
            raise WorkersUnavailable(f"{what}: {error.message}", error.hint) from error
        except Exception as error:  # whatever of a worker's own ends a task comes here as it was raised there
            raise WorkersUnavailable(f"{what}: {_reason(error, ENGINES_WITHIN)}", "its log says more") from error

    def names(self) -> tuple[str, ...]:
        """The names on all engines."""
        asked = [self._submit(self._request({"ask": "names"}), workers) for workers in self._engines()]
        return tuple(sorted({name for each in asked for name in self._answer(each, "cannot list images")["names"]}))

    def _engines(self) -> list[list[str]]:
        self.workers()
        return [workers for _, workers in sorted(self._by_engine.items())]

    def look(self, references: Iterable[str], *, pull: bool) -> Iterator[Sighting]:
        """Every engine is asked for every reference; with `pull`, they divide them."""
        wanted, engines = list(references), self._engines()
        shares = [wanted[n :: len(engines)] if pull else wanted for n in range(len(engines))]
        asked = [
            self._submit(self._request(work.looking(share[at : at + _CHUNK], pull)), workers)
            for share, workers in zip(shares, engines, strict=True)
            for at in range(0, len(share), _CHUNK)
        ]
        for each in asked:
            yield from work.sightings(self._answer(each, "cannot look at images"))

    # -------------------------------------------------------------------------------------- carrying out

    def run(self, tasks: Iterable[Task], follow: Follow) -> Iterator[Finished]:
        """Carry out tasks: as many are at the scheduler as keep all workers at work, and no more."""
        waiting, ended = iter(tasks), queue.SimpleQueue[Any]()
        at_work: dict[str, tuple[Task, Future]] = {}
        looked, alone_since, exhausted = 0.0, 0.0, False
        self._idle = False
        while not exhausted or at_work:
            slots = dict(self._client.nthreads()) if self._client.status == "running" else {}
            room = max(0, 2 * sum(slots.values()) - len(at_work))
            drawn = list(itertools.islice(waiting, room))
            exhausted = exhausted or len(drawn) < room
            for task in drawn:
                future = self._hand_out(task)
                at_work[future.key] = (task, future)
                future.add_done_callback(ended.put)
            try:
                done = ended.get(timeout=_LOOK if at_work or not exhausted else 0)
            except queue.Empty:
                done = None
            if done is not None:
                task, _ = at_work[done.key]
                finished = self._finished(task, done)
                if finished is None:
                    done.add_done_callback(ended.put)
                else:
                    del at_work[done.key]
                    yield finished
                del done
            if self._client.status != "running":
                raise self._gone()
            now = time.monotonic()
            if slots:
                alone_since = now
            elif now - (alone_since or now) > WORKERS_WITHIN:
                raise WorkersUnavailable("no worker is left", "start some; the same command goes on from here")
            if now - looked > _LOOK:
                looked = now
                follow(self._at_work(at_work))
        self._idle = True

    def _hand_out(self, task: Task) -> Future:
        workers = [address for engine in task.prefers for address in self._by_engine.get(engine, ())]
        return self._client.submit(
            remote.ask,
            self._run,
            self._request(work.request_of(task)),
            key=f"debloat-{task.key}-{self._run}",
            workers=workers or None,
            allow_other_workers=bool(workers),
            retries=ATTEMPTS - 1,
            pure=False,
        )

    def _finished(self, task: Task, done: Future) -> Finished | None:
        """What came of a task; None where its result went with its worker, so that it is done again."""
        try:
            reply = json.loads(done.result(timeout=_GATHERED_WITHIN))
            finished = work.unpacked(reply["answer"])
            files = {**finished.files, LOG: base64.b64decode(reply["log"])}
            return Finished(replace(finished.outcome, worker=reply["worker"]), files)
        except DebloatError as error:
            return failed(task, error.message, error.hint, error.exit_code)
        except Exception as error:  # whatever of a worker's own ends a task comes here as it was raised there
            if self._client.status != "running" or done.status in ("cancelled", "lost"):
                raise self._gone() from error
            if isinstance(error, TimeoutError) and done.status != "error":
                return None
            return failed(task, _reason(error, _GATHERED_WITHIN), "the logs of the workers say more")
        finally:
            if done.status in ("finished", "error"):
                done.release()  # what is known here need not outlive its worker

    def _at_work(self, at_work: Mapping[str, tuple[Task, Future]]) -> dict[str, tuple[str, ...]]:
        """Which worker has which items, as the scheduler says."""
        found = {}
        for worker, keys in sorted(self._client.processing().items()):
            names = tuple(at_work[key][0].name for key in keys if key in at_work)
            if names:
                found[worker] = names
        return found

    def _gone(self) -> WorkersUnavailable:
        return WorkersUnavailable(
            f"the scheduler {self._address} has gone", "start it again; the same command goes on from here"
        )

    def close(self) -> None:
        """End what is at work on the workers, and the connection."""
        if self._connected is None:
            return
        client, self._connected = self._connected, None
        try:
            if not self._idle and client.status == "running":
                client.run(remote.end, self._run, on_error="return")
        finally:
            client.close(timeout=5)


def _reason(error: BaseException, seconds: float) -> str:
    """Why something of the cluster failed, on one line."""
    if isinstance(error, TimeoutError) or "timed out" in str(error).lower():
        return f"nothing answers within {seconds:g} seconds"
    return " ".join(f"{type(error).__name__}: {error}".split())
