"""Services with databases of their own share a scheduler and its workers, and leave each other's attempts alone."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tilewright.contract.jobs import JobRequest
from tilewright.contract.workers import AttemptEnd, AttemptIdentity, Worker, WorkerState
from tilewright_service.dispatch.reconciler import STRAY_SECONDS, Reconciler
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.open_attempts import open_attempts
from tilewright_service.store.schema import upgrade
from tilewright_service.store.submissions import submit

from .played_engine import PlayedEngine, PlayedWorker
from .running import workload


class Neighbour:
    """One of the services, with one job."""

    def __init__(self, database: Database, engine: PlayedEngine) -> None:
        self._database, self._engine = database, engine
        self._reconciler = Reconciler(
            database, engine, Settings(), "one", lambda: "http://127.0.0.1:8000", lambda: engine.now
        )
        with database.writing() as session:
            submit(session, JobRequest.model_validate({"workloads": [workload()], "trials": 4}), None)

    def work(self, seconds: float) -> None:
        """A round a second."""
        for _ in range(int(seconds)):
            self._engine.now += 1
            self._reconciler.reconcile()

    def attempts(self) -> int:
        with self._database.reading() as session:
            return len(open_attempts(session))

    @property
    def worker(self) -> Worker:
        capacity = self._reconciler.capacity()
        assert capacity is not None
        [worker] = capacity.workers
        return worker


@pytest.fixture
def shared_worker() -> PlayedWorker:
    return PlayedWorker("shared-1", "shared")


@pytest.fixture
def services(tmp_path: Path, shared_worker: PlayedWorker) -> Iterator[tuple[Neighbour, Neighbour]]:
    engine = PlayedEngine([shared_worker])
    with ExitStack() as stack:
        databases = [Database(f"sqlite:///{tmp_path / name}") for name in ("one.db", "two.db")]
        for database in databases:
            stack.callback(database.close)
            upgrade(database)
        one, two = (Neighbour(database, engine) for database in databases)
        yield one, two


def only(worker: PlayedWorker) -> AttemptIdentity:
    [identity] = worker.running
    return identity


def test_an_attempt_of_another_service_is_no_stray_and_its_worker_is_taken(
    services: tuple[Neighbour, Neighbour], shared_worker: PlayedWorker
) -> None:
    one, two = services
    one.work(1)
    first = only(shared_worker)
    two.work(2 * STRAY_SECONDS)
    assert only(shared_worker) == first
    assert (one.attempts(), two.attempts()) == (1, 0)
    assert (two.worker.state, two.worker.reason) == (WorkerState.BUSY, "it works for another service")
    assert two.worker.running is None
    one.work(1)
    assert (one.worker.state, one.worker.running) == (WorkerState.RUNNING, first.key)


def test_how_an_attempt_of_another_service_ended_is_none_of_ours(
    services: tuple[Neighbour, Neighbour], shared_worker: PlayedWorker
) -> None:
    one, two = services
    one.work(1)
    first = only(shared_worker)
    shared_worker.end(first, AttemptEnd(exit_code=-11, reason="it crashed"))
    two.work(3)
    second = only(shared_worker)
    assert (second.key, second == first) == (first.key, False)
    assert (one.attempts(), two.attempts()) == (1, 1)
    one.work(1)
    assert only(shared_worker) == second
    assert (one.attempts(), two.attempts()) == (0, 1)
