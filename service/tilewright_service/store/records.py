"""Records: facts that are stored once, whoever brings them and however late."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from tilewright.contract.attempts import KnownRecord
from tilewright.contract.events import ProgressEvent
from tilewright.contract.records import NewRecord, RecordState
from tilewright.contract.target import Isa
from tilewright.contract.workers import AttemptKey
from tilewright.errors import InvalidRequest
from tilewright_service.documents import Document, document_of, join, pick, with_fields
from tilewright_service.store.authority import lock_attempt, require_authority
from tilewright_service.store.events import tell_workloads
from tilewright_service.store.jobs import job_workload_row
from tilewright_service.store.neighbours import neighbours
from tilewright_service.store.schedules import current_schedule
from tilewright_service.store.tables import AttemptRow, JobRow, RecordRow
from tilewright_service.store.upsert import insert

HISTORY_LIMIT = 2000


def store_records(session: Session, key: AttemptKey, records: Sequence[NewRecord]) -> int:
    """How many were new. Counts them to the job, once each. Those of an attempt without authority are facts, too."""
    attempt, job = lock_attempt(session, key)
    for record in records:
        _check(session, attempt, job, record)
    stored = _insert(session, records)
    if stored:
        attempt.stored_records += len(stored)
        job.attempts_without_progress = 0
    for workload_id, rows in _by_workload(stored).items():
        _count(session, job.id, workload_id, rows)
    return len(stored)


def history(session: Session, key: AttemptKey, workload_id: str, isa: Isa, with_neighbours: bool) -> Document:
    """A `History`: what is known of a workload on this path and the host class of the attempt, best first."""
    attempt, job = require_authority(session, key)
    job_workload_row(session, job.id, workload_id)
    question = (
        select(RecordRow.document)
        .where(
            RecordRow.workload_id == workload_id,
            RecordRow.isa == isa,
            RecordRow.threads == job.threads,
            RecordRow.host_class == attempt.host_class,
        )
        .order_by(RecordRow.latency_us.is_(None), RecordRow.latency_us, RecordRow.id)
        .limit(HISTORY_LIMIT)
    )
    found = session.scalars(question)
    return join(
        records=[pick(json.loads(document), KnownRecord) for document in found],
        incumbent=current_schedule(session, workload_id, isa, job.threads, attempt.host_class),
        neighbours=neighbours(session, workload_id, isa, job.threads, attempt.host_class) if with_neighbours else [],
    )


def record_page(
    session: Session, after_id: int, limit: int, job_id: int | None = None, workload_id: str | None = None
) -> list[tuple[int, Document]]:
    """Ids and documents, each a `Record`, oldest first."""
    question = select(RecordRow.id, RecordRow.document).where(RecordRow.id > after_id)
    if job_id is not None:
        question = question.where(RecordRow.job_id == job_id)
    if workload_id is not None:
        question = question.where(RecordRow.workload_id == workload_id)
    rows = session.execute(question.order_by(RecordRow.id).limit(limit))
    return [(row.id, with_fields(row.document, id=row.id)) for row in rows]


def _check(session: Session, attempt: AttemptRow, job: JobRow, record: NewRecord) -> None:
    provenance = record.provenance
    if provenance.job_id != job.id or provenance.attempt > attempt.number:
        raise InvalidRequest("provenance names another job, or a later attempt than the one that reports the record")
    if record.target.threads != job.threads or job.target not in ("auto", record.target.isa):
        raise InvalidRequest(f"the record is for another target than job {job.id} asks for")
    job_workload_row(session, job.id, record.workload_id)


def _insert(session: Session, records: Sequence[NewRecord]) -> list[RecordRow]:
    statement = insert(session, RecordRow).on_conflict_do_nothing().returning(RecordRow)
    return list(session.scalars(statement, [_values(record) for record in records]))


def _values(record: NewRecord) -> dict[str, object]:
    return {
        "workload_id": record.workload_id,
        "isa": record.target.isa,
        "threads": record.target.threads,
        "host_class": record.provenance.host_class,
        "candidate": record.candidate,
        "state": record.state,
        "latency_us": record.latency_us,
        "job_id": record.provenance.job_id,
        "document": document_of(record),
    }


def _by_workload(rows: Iterable[RecordRow]) -> dict[str, list[RecordRow]]:
    groups: dict[str, list[RecordRow]] = defaultdict(list)
    for row in rows:
        groups[row.workload_id].append(row)
    return groups


def _count(session: Session, job_id: int, workload_id: str, records: list[RecordRow]) -> None:
    row = job_workload_row(session, job_id, workload_id)
    row.trials += len(records)
    row.failed_trials += sum(record.state == RecordState.FAILED for record in records)
    latencies = [record.latency_us for record in records if record.latency_us is not None]
    row.best_latency_us = min([*latencies, *([row.best_latency_us] if row.best_latency_us else [])], default=None)
    session.flush()
    tell_workloads(session, job_id, [workload_id], ProgressEvent)
