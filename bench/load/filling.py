"""A database as after years: so many jobs, their records and what is served of them."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from tilewright_service.store.database import Database
from tilewright_service.store.instant import now
from tilewright_service.store.tables import (
    EventRow,
    JobRow,
    JobWorkloadRow,
    RecordRow,
    ScheduleRow,
    WorkloadRow,
)

from .inventions import HOST, TARGET, RecordText, candidate, schedule, workload

AT_ONCE = 5000
"""Jobs in one transaction."""
SHARED_BY = 10
"""So many jobs have tuned the same workload."""


def fill(database: Database, jobs: int, records: int) -> list[str]:
    """The ids of the workloads. Every job is finished, has one workload, and an equal share of the records."""
    ids = [workload(number).id for number in range(max(jobs // SHARED_BY, 1))]
    with database.writing() as session:
        rows = ({"id": each.id, "document": each.canonical_json} for each in map(workload, range(len(ids))))
        _insert(session, WorkloadRow, list(rows))
    for first in range(0, jobs, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, jobs))
        with database.writing() as session:
            _insert(session, JobRow, [_job(number + 1) for number in numbers])
            _insert(session, RecordRow, list(_records(ids, numbers, records // jobs)))
            _insert(session, EventRow, [_event(number + 1) for number in numbers])
    for first in range(0, len(ids), AT_ONCE):
        with database.writing() as session:
            numbers = range(first, min(first + AT_ONCE, len(ids)))
            _insert(session, ScheduleRow, [_schedule(number) for number in numbers])
    for first in range(0, jobs, AT_ONCE):
        with database.writing() as session:
            numbers = range(first, min(first + AT_ONCE, jobs))
            _insert(session, JobWorkloadRow, [_job_workload(ids, number) for number in numbers])
    return ids


def _insert(session: Session, table: Any, rows: list[dict[str, Any]]) -> None:
    session.execute(insert(table), rows)


def _job(job_id: int) -> dict[str, Any]:
    return {
        "id": job_id,
        "request_sha256": f"{job_id:064x}",
        "version": "0",
        "state": "finished",
        "target": "auto",
        "threads": 1,
        "host_class": "",
        "trials": 64,
        "priority": 0,
        "submitter": f"user-{job_id % 20}",
        "wants_worker": False,
        "attempt": 1,
        "created_at": now(),
        "started_at": now(),
        "finished_at": now(),
    }


def _job_workload(ids: list[str], number: int) -> dict[str, Any]:
    return {
        "job_id": number + 1,
        "workload_id": ids[number % len(ids)],
        "position": 0,
        "occurrences": 1,
        "state": "done",
        "trials": 10,
        "seconds": 1.0,
        "best_latency_us": 100.0,
        "schedule_id": number % len(ids) + 1,
        "stop_reason": "trials",
        "attempt": 1,
    }


def _records(ids: list[str], numbers: range, each: int) -> Iterator[dict[str, Any]]:
    for number in numbers:
        workload_id, job_id = ids[number % len(ids)], number + 1
        text = RecordText(workload_id, job_id)
        for trial in range(each):
            which = number // len(ids) * each + trial
            yield {
                "workload_id": workload_id,
                "isa": TARGET.isa,
                "threads": TARGET.threads,
                "host_class": HOST.host_class,
                "candidate": candidate(which),
                "state": "measured",
                "latency_us": 100.0,
                "job_id": job_id,
                "document": text.of(which),
            }


def _event(job_id: int) -> dict[str, Any]:
    return {"job_id": job_id, "type": "finished", "data": '{"reason":null}', "created_at": now()}


def _schedule(number: int) -> dict[str, Any]:
    document = schedule(number, number + 1, number + 1)
    return {
        "id": document.id,
        "workload_id": document.workload_id,
        "isa": TARGET.isa,
        "threads": TARGET.threads,
        "host_class": HOST.host_class,
        "candidate": document.candidate,
        "is_current": True,
        "latency_us": document.latency_us,
        "share_of_peak": 0.5,
        "speedup_over_default": 9.0,
        "job_id": number + 1,
        "attempt": 1,
        "document": document.model_dump_json(),
        "script": "",
    }
