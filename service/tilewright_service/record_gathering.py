"""Records of many attempts in one transaction: while one is written to disk the next ones gather.

The database takes records one transaction after the other anyway, see `store/commit_order.py`. Each costs a trip to
another thread and a wait for the disk: a lone batch pays them as ever, fifty share them.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi.concurrency import run_in_threadpool
from prometheus_client import Histogram

from tilewright.contract.records import NewRecord
from tilewright.contract.workers import AttemptKey
from tilewright.errors import Unavailable
from tilewright_service.callers import Caller, CallerKind
from tilewright_service.store.database import Database
from tilewright_service.store.record_checks import Batch
from tilewright_service.store.record_intake import Outcome, store_batches, store_records
from tilewright_service.turns import WAIT_SECONDS, Turns

MOST_TOGETHER = 32
GATHER_SECONDS = 0.02
"""That a batch waits for others: attempts send four a second, and go on measuring meanwhile."""

TOGETHER = Caller(CallerKind.ATTEMPT, "records of many")


@dataclass(eq=False)
class Arrival:
    """A batch, and who waits for what becomes of it."""

    batch: Batch
    caller: Caller
    since: float
    stored: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, outcome: int | Exception) -> None:
        if self.stored.done():  # he has gone
            return
        if isinstance(outcome, int):
            self.stored.set_result(outcome)
        else:
            self.stored.set_exception(outcome)


class RecordGathering:
    """Of one service. What is wrong with a batch is told to who sent it, and costs nobody else."""

    def __init__(self, database: Database, writing: Turns, write_seconds: Histogram) -> None:
        self._database = database
        self._writing = writing
        self._write_seconds = write_seconds
        self._waiting: deque[Arrival] = deque()
        self._working: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()

    async def store(self, key: AttemptKey, records: Sequence[NewRecord], caller: Caller) -> int:
        """How many were new; they are on disk when this returns. Raises as `store_records`, and Unavailable."""
        arrival = Arrival(Batch(key, records), caller, asyncio.get_running_loop().time())
        self._waiting.append(arrival)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await arrival.stored

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            group = [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]
            await self._store([arrival for arrival in group if self._is_in_time(arrival)])

    def _is_in_time(self, arrival: Arrival) -> bool:
        is_late = asyncio.get_running_loop().time() - arrival.since > WAIT_SECONDS
        if is_late:
            arrival.settle(Unavailable(f"too many requests: {WAIT_SECONDS:g} s were not enough to get a turn"))
        return not is_late and not arrival.stored.done()

    async def _store(self, group: Sequence[Arrival]) -> None:
        """Whatever cannot be stored with the others gets a transaction of its own, for which they do not wait."""
        for arrival in await self._store_together(group):
            task = asyncio.create_task(self._store_alone(arrival))
            self._alone.add(task)
            task.add_done_callback(self._alone.discard)

    async def _store_together(self, group: Sequence[Arrival]) -> list[Arrival]:
        """Those that are left."""
        batches = [arrival.batch for arrival in group]
        try:
            async with self._writing.take(TOGETHER):
                with self._write_seconds.time():
                    outcomes = await run_in_threadpool(self._write_all, batches)
        except Unavailable as error:
            for arrival in group:
                arrival.settle(error)
            return []
        except Exception:  # the fault of one of them, which is told so when it is alone
            return list(group)
        for arrival, outcome in zip(group, outcomes, strict=True):
            if outcome is not None:
                arrival.settle(outcome)
        return [arrival for arrival, outcome in zip(group, outcomes, strict=True) if outcome is None]

    async def _store_alone(self, arrival: Arrival) -> None:
        try:
            async with self._writing.take(arrival.caller):
                with self._write_seconds.time():
                    arrival.settle(await run_in_threadpool(self._write, arrival.batch))
        except Exception as error:
            arrival.settle(error)

    def _write_all(self, batches: Sequence[Batch]) -> list[Outcome | None]:
        with self._database.writing() as session:
            return store_batches(session, batches)

    def _write(self, batch: Batch) -> int:
        with self._database.writing() as session:
            return store_records(session, *batch)
