"""The engine on Dask: workers are found at its scheduler, and then asked and told directly, in text.

No task and no object of Dask's is sent or taken: nothing that comes from a worker is unpickled in this process.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from distributed.core import ConnectionPool
from distributed.security import Security
from pydantic import ValidationError

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptIdentity, ProbeReport
from tilewright_service.dispatch.engine import EngineView, Member
from tilewright_service.dispatch.known_worker import (
    ANSWER_SECONDS,
    TRIES,
    KnownWorker,
    Undelivered,
    UnexpectedWords,
    ask,
    reason_of,
)
from tilewright_service.dispatch.meeting_point import MeetingPoint

ADDRESS = "tilewright"
"""Under this key a scheduler passes on where a worker itself is asked."""
ROUND_SECONDS = 1.0
LOOK_SECONDS = 2.0
LAUNCH_SECONDS = 1.5
CONNECT_SECONDS = 1.5
"""Dask tries again so long where nobody listens."""
GONE_SECONDS = 15.0
"""A worker that is not listed any more and silent for so long has gone."""
PROBE_SECONDS = 20.0
CLOSE_SECONDS = 2.0
MOST_WORKERS = 4096

T = TypeVar("T")

log = structlog.get_logger()


class DaskEngine:
    """All that waits does so in a thread of its own; `on_change` is called from there when there is something new."""

    def __init__(self, meeting_point: MeetingPoint, security: Security, is_embedded: bool) -> None:
        self.is_embedded = is_embedded
        self.on_change: Callable[[], None] = lambda: None
        self._meeting_point, self._security = meeting_point, security
        self._workers: dict[str, KnownWorker] = {}
        self._away: str | None = None
        self._clock = PatientClock()
        self._telling: set[tuple[str, str, AttemptIdentity]] = set()
        self._loop = asyncio.new_event_loop()
        self._nudge = asyncio.Event()
        self._pool: ConnectionPool
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def view(self) -> EngineView:
        members = [member for worker in list(self._workers.values()) if (member := worker.member()) is not None]
        return EngineView(members=_by_name(members), away=self._away)

    def launch(self, worker: str, order: LaunchOrder) -> None:
        self._begin(self._launch(worker, order)).add_done_callback(_log_failure)

    def kill(self, worker: str, attempt: AttemptIdentity) -> None:
        self._begin(self._kill(worker, attempt)).add_done_callback(_log_failure)

    def probe(self, worker: str, url: str) -> "WorkerProbe":
        return WorkerProbe(worker, self._begin(self._probe(worker, url)))

    def nudge(self) -> None:
        """Look at once who is there."""
        with suppress(RuntimeError):  # it was closed
            self._loop.call_soon_threadsafe(self._nudge.set)

    def close(self) -> None:
        self._is_closed = True
        self.nudge()
        self._thread.join(CLOSE_SECONDS)
        self._meeting_point.close()

    def _begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        if self._is_closed or not self._loop.is_running():
            work.close()
            refused: Future[T] = Future()
            refused.set_exception(Undelivered("the engine is closed"))
            return refused
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, suppress(asyncio.CancelledError):
            runner.run(self._live())

    async def _live(self) -> None:
        async with ConnectionPool(
            deserialize=False,
            serializers=["msgpack"],
            deserializers=["msgpack"],
            connection_args=self._security.get_connection_args("client"),
            timeout=CONNECT_SECONDS,
        ) as self._pool:
            while not self._is_closed:
                self._clock.tick()
                await self._look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(ROUND_SECONDS):
                        await self._nudge.wait()
                self._nudge.clear()
            for worker in self._workers.values():
                worker.forget()

    async def _look(self) -> None:
        listed, away = await self._listed()
        has_changed, self._away = away != self._away, away
        if away is None:
            self._meet(listed)
        self._part()
        if has_changed:
            self.on_change()

    async def _listed(self) -> tuple[set[str], str | None]:
        """Addresses of workers; and why they are not known, to a person."""
        address = self._meeting_point.address
        if address is None:
            return set(), self._meeting_point.trouble
        try:
            return _addresses(await ask(self._pool, address, "identity", LOOK_SECONDS, {})), None
        except (OSError, TimeoutError) as error:
            reason = reason_of(error)
            return set(), (
                f"the scheduler at {address} is away ({reason}): see that it runs there and can be reached from here; "
                "it is asked again every second, and attempts that run go on"
            )
        except UnexpectedWords as error:
            return set(), f"what answers at {address} is no scheduler of ours ({error})"

    def _meet(self, listed: set[str]) -> None:
        for address, worker in self._workers.items():
            worker.is_listed = address in listed
        for address in listed - self._workers.keys():
            if len(self._workers) < MOST_WORKERS:
                self._workers[address] = KnownWorker(address, self._pool, self._clock.now, self._tell_change)

    def _part(self) -> None:
        """From those who are neither listed nor answer. While the scheduler is away, that they were counts little."""
        for address, worker in list(self._workers.items()):
            is_listed = worker.is_listed and self._away is None
            is_gone = worker.is_refused or worker.silent_seconds > GONE_SECONDS
            if is_gone and not is_listed:
                self._workers.pop(address).forget()
                self.on_change()

    def _tell_change(self) -> None:
        self.on_change()

    async def _launch(self, name: str, order: LaunchOrder) -> None:
        arguments = {"order": order.model_dump_json()}
        try:
            # Once, and not for long: there may be another worker for it.
            await self._tell_once("tilewright_launch", name, order.identity, arguments, LAUNCH_SECONDS, 1)
        except Undelivered as error:
            worker = self._find(name)
            if worker is not None:
                worker.note_undelivered(order.identity, f"the worker {name} could not be told to begin: {error}")

    async def _kill(self, name: str, attempt: AttemptIdentity) -> None:
        with suppress(Undelivered):  # who asked sees that it still runs, and asks again
            await self._tell_once("tilewright_kill", name, attempt, {"identity": attempt.model_dump_json()})

    async def _tell_once(
        self,
        operation: str,
        name: str,
        attempt: AttemptIdentity,
        arguments: dict[str, str],
        seconds: float = ANSWER_SECONDS,
        tries: int = TRIES,
    ) -> None:
        """Unless it is just being told; nor is a worker that has left. Raises Undelivered."""
        worker, telling = self._find(name), (operation, name, attempt)
        if worker is None or telling in self._telling:
            return
        self._telling.add(telling)
        try:
            await worker.tell(operation, arguments, seconds, tries)
        finally:
            self._telling.discard(telling)

    async def _probe(self, name: str, url: str) -> ProbeReport:
        worker = self._find(name)
        if worker is None:
            raise Undelivered("it has left")
        answer = await worker.tell("tilewright_probe", {"url": url}, PROBE_SECONDS)
        try:
            return ProbeReport.model_validate_json(answer["report"])
        except (KeyError, ValidationError) as error:
            raise Undelivered("it answers something else") from error

    def _find(self, name: str) -> KnownWorker | None:
        named = [each for each in self._workers.values() if each.report is not None and each.report.name == name]
        return min(named, key=lambda each: each.silent_seconds, default=None)


class WorkerProbe:
    """A question to a worker about its host."""

    def __init__(self, worker: str, answer: "Future[ProbeReport]") -> None:
        self._worker, self._answer = worker, answer

    @property
    def is_over(self) -> bool:
        return self._answer.done()

    @property
    def ailment(self) -> str | None:
        if not self.is_over:
            return None
        try:
            return self._answer.result().ailment
        except Exception as error:  # that it could not be asked is an ailment, too
            return f"the worker {self._worker} could not be asked how it is: {error}"


class PatientClock:
    """Stands still while this process does: that it was stopped for a minute does not mean that others were silent."""

    def __init__(self) -> None:
        self._ticked_at = time.monotonic()
        self._seconds = 0.0

    def tick(self) -> None:
        """Once a round; a round takes no longer than it should."""
        self._seconds, self._ticked_at = self.now(), time.monotonic()

    def now(self) -> float:
        return self._seconds + min(time.monotonic() - self._ticked_at, ROUND_SECONDS + LOOK_SECONDS)


def _log_failure(told: "Future[None]") -> None:
    if not told.cancelled() and (error := told.exception()) is not None:
        log.error("engine_failed", error=repr(error))


def _by_name(members: list[Member]) -> dict[str, Member]:
    """A name that two bear is that of the one that was heard last."""
    return {each.report.name: each for each in sorted(members, key=lambda each: -each.silent_seconds)}


def _addresses(identity: dict[str, Any]) -> set[str]:
    workers = identity.get("workers")
    if not isinstance(workers, dict):
        raise UnexpectedWords("the answer is none of ours")
    entries = [entry for entry in workers.values() if isinstance(entry, dict)]
    return {address for entry in entries if isinstance(address := entry.get(ADDRESS), str) and "://" in address}
