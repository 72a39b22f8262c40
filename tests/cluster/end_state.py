"""What the database says when all is over, read beside the service: in SQL of the bench's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import create_engine, make_url, text


class JobEnd(NamedTuple):
    id: int
    state: str
    reason: str | None


class WorkloadEnd(NamedTuple):
    job_id: int
    workload_id: str
    state: str
    trials: int
    schedule_id: int | None


class StoredRecord(NamedTuple):
    workload_id: str
    isa: str
    threads: int
    host_class: str
    candidate: str
    job_id: int


class StoredSchedule(NamedTuple):
    id: int
    workload_id: str
    isa: str
    threads: int
    host_class: str
    is_current: bool


class StoredEvent(NamedTuple):
    id: int
    job_id: int
    type: str
    data: str


class AttemptEnd(NamedTuple):
    job_id: int
    number: int
    is_open: bool
    worker: str
    outcome: str | None


@dataclass(frozen=True)
class EndState:
    jobs: Sequence[JobEnd] = ()
    workloads: Sequence[WorkloadEnd] = ()
    records: Sequence[StoredRecord] = ()
    schedules: Sequence[StoredSchedule] = ()
    events: Sequence[StoredEvent] = ()
    attempts: Sequence[AttemptEnd] = ()
    ailments: Sequence[str] = field(default=())
    """What the database itself has found wrong with it."""

    @classmethod
    def read(cls, url: str) -> "EndState":
        engine = create_engine(make_url(url).set(drivername=_driver(url)))
        with engine.connect() as connection:

            def rows(kind: Any, table: str, order: str) -> list[Any]:
                columns = ", ".join(kind._fields)
                return [
                    kind(*row) for row in connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY {order}"))
                ]

            state = cls(
                jobs=rows(JobEnd, "jobs", "id"),
                workloads=rows(WorkloadEnd, "job_workloads", "job_id, position"),
                records=rows(StoredRecord, "records", "id"),
                schedules=rows(StoredSchedule, "schedules", "id"),
                events=rows(StoredEvent, "events", "id"),
                attempts=rows(AttemptEnd, "attempts", "job_id, number"),
                ailments=_ailments(connection),
            )
        engine.dispose()
        return state


def _driver(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"


def _ailments(connection: Any) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
    orphans = [
        f"a row of {row[0]} refers to nothing in {row[2]}"
        for row in connection.execute(text("PRAGMA foreign_key_check"))
    ]
    return [each for each in found if each != "ok"] + orphans
