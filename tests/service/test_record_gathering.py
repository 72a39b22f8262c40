import asyncio

import pytest
from sqlalchemy import select

from tilewright.contract.workers import AttemptKey
from tilewright.errors import InvalidRequest
from tilewright_service.callers import SERVICE
from tilewright_service.metrics import Metrics
from tilewright_service.record_gathering import RecordGathering
from tilewright_service.store.database import Database
from tilewright_service.store.tables import AttemptRow, EventRow, JobRow
from tilewright_service.turns import Turns

from .in_thread import ServiceInThread
from .stand_in import START, invented_record


def begin(service: ServiceInThread, height: int) -> tuple[AttemptKey, str]:
    """An attempt at a job of its own, and the workload that it is at."""
    job = service.submit(height)
    attempt = service.begin_attempt(START)
    assert attempt.order.job_id == job["id"]
    return AttemptKey(job_id=job["id"], attempt=attempt.order.attempt), job["workloads"][0]["workload_id"]


def gathering(database: Database) -> RecordGathering:
    metrics = Metrics()
    return RecordGathering(database, Turns(database.writers), metrics.write_seconds)


async def store_all(
    gathering: RecordGathering, batches: list[tuple[AttemptKey, str, range]]
) -> list[int | BaseException]:
    stored = (
        gathering.store(key, [invented_record(key.job_id, key.attempt, workload_id, each) for each in numbers], SERVICE)
        for key, workload_id, numbers in batches
    )
    return await asyncio.gather(*stored, return_exceptions=True)


def inserts(statements: list[str]) -> int:
    return sum(each.startswith("INSERT INTO records") for each in statements)


def test_records_of_many_attempts_are_stored_together_and_counted_to_each(
    service: ServiceInThread, statements: list[str]
) -> None:
    attempts = [begin(service, height) for height in range(8, 16)]
    statements.clear()
    stored = asyncio.run(
        store_all(gathering(service.database), [(*each, range(1, 4)) for each in [*attempts, attempts[0]]])
    )
    assert stored == [3] * 8 + [0]
    assert inserts(statements) == 1
    with service.database.reading() as session:
        for key, _ in attempts:
            row = session.get_one(AttemptRow, (key.job_id, key.attempt))
            assert row.stored_records == 3
            told = session.scalars(
                select(EventRow.type).where(EventRow.job_id == key.job_id, EventRow.type == "progress")
            )
            assert len(told.all()) == 1
    assert [service.job(key.job_id)["progress"]["trials"] for key, _ in attempts] == [3] * 8


def test_what_is_wrong_with_one_batch_costs_the_others_nothing(service: ServiceInThread) -> None:
    (one, workload_id), (other, _), (third, third_id) = (begin(service, height) for height in (8, 9, 10))
    stored = asyncio.run(
        store_all(
            gathering(service.database),
            [(one, workload_id, range(1, 3)), (other, workload_id, range(1, 3)), (third, third_id, range(1, 3))],
        )
    )
    assert stored[0] == stored[2] == 2
    assert isinstance(stored[1], InvalidRequest)
    assert service.job(other.job_id)["progress"]["trials"] == 0


def test_batches_of_one_workload_that_come_at_once_keep_to_its_budget_together(service: ServiceInThread) -> None:
    job = service.submit(trials=10)
    attempt = service.begin_attempt(START)
    key, workload_id = AttemptKey(job_id=job["id"], attempt=attempt.order.attempt), job["workloads"][0]["workload_id"]
    batches = [(key, workload_id, range(first, first + 9)) for first in (1, 10, 19)]
    stored = asyncio.run(store_all(gathering(service.database), batches))
    assert stored[:2] == [9, 9]
    assert isinstance(stored[2], InvalidRequest)


def test_who_is_at_a_job_keeps_only_its_own_records_waiting(service: ServiceInThread) -> None:
    (held, held_id), (free, free_id) = begin(service, 8), begin(service, 9)
    if service.database.is_sqlite:
        pytest.skip("it has one writer")

    async def store() -> None:
        records = gathering(service.database)
        with service.database.writing() as session:
            session.get(JobRow, held.job_id, with_for_update=True)
            tasks = [
                asyncio.create_task(records.store(key, [invented_record(key.job_id, key.attempt, which, 1)], SERVICE))
                for key, which in ((held, held_id), (free, free_id))
            ]
            assert await asyncio.wait_for(tasks[1], 1.0) == 1
            assert not tasks[0].done()
        assert await tasks[0] == 1

    asyncio.run(store())
