"""Records: facts that are stored once, whoever brings them and however late."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from tilewright.contract import Isa, KnownRecord, NewRecord, RecordState
from tilewright.errors import InvalidRequest
from tilewright_service.store.attempts import Attempt
from tilewright_service.store.neighbours import neighbours
from tilewright_service.store.schedules import current_schedule
from tilewright_service.store.tables import RecordRow
from tilewright_service.store.upsert import insert

HISTORY_LIMIT = 2000


def store_records(attempt: Attempt, records: Sequence[NewRecord]) -> int:
    """How many were new. Counts them to the job, once each."""
    for record in records:
        _check(attempt, record)
    stored = _insert(attempt.session, records)
    if stored:
        attempt.row.stored_records += len(stored)
        attempt.job.barren_attempts = 0
    for workload_id, rows in _by_workload(stored).items():
        _count(attempt, workload_id, rows)
    return len(stored)


def history(attempt: Attempt, workload_id: str, isa: Isa, with_neighbours: bool) -> str:
    """A `History` as JSON: what is known of a workload on this path and the host class of the attempt, best first."""
    attempt.workload_row(workload_id)
    job, host_class = attempt.job, attempt.row.host_class
    question = (
        select(RecordRow.document)
        .where(
            RecordRow.workload_id == workload_id,
            RecordRow.isa == isa,
            RecordRow.threads == job.threads,
            RecordRow.host_class == host_class,
        )
        .order_by(RecordRow.latency_us.is_(None), RecordRow.latency_us, RecordRow.id)
        .limit(HISTORY_LIMIT)
    )
    records = ",".join(_known(document) for document in attempt.session.scalars(question))
    incumbent = current_schedule(attempt.session, workload_id, isa, job.threads, host_class)
    known = f'"records":[{records}],"incumbent":{incumbent or "null"}'
    if not with_neighbours:
        return f"{{{known}}}"
    others = neighbours(attempt.session, workload_id, isa, job.threads, host_class)
    return f'{{{known},"neighbours":[{",".join(others)}]}}'


def record_page(
    session: Session, after_id: int, limit: int, job_id: int | None = None, workload_id: str | None = None
) -> list[tuple[int, str]]:
    """Ids and documents, oldest first."""
    question = select(RecordRow.id, RecordRow.document).where(RecordRow.id > after_id)
    if job_id is not None:
        question = question.where(RecordRow.job_id == job_id)
    if workload_id is not None:
        question = question.where(RecordRow.workload_id == workload_id)
    return [(row.id, row.document) for row in session.execute(question.order_by(RecordRow.id).limit(limit))]


def _check(attempt: Attempt, record: NewRecord) -> None:
    provenance, job = record.provenance, attempt.job
    if provenance.job_id != job.id or provenance.attempt > attempt.row.number:
        raise InvalidRequest("provenance names another job, or a later attempt than the one that reports the record")
    if record.target.threads != job.threads or job.target not in ("auto", record.target.isa):
        raise InvalidRequest(f"the record is for another target than job {job.id} asks for")
    attempt.workload_row(record.workload_id)


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
        "document": record.model_dump_json(),
    }


def _by_workload(rows: Iterable[RecordRow]) -> dict[str, list[RecordRow]]:
    groups: dict[str, list[RecordRow]] = defaultdict(list)
    for row in rows:
        groups[row.workload_id].append(row)
    return groups


def _count(attempt: Attempt, workload_id: str, records: list[RecordRow]) -> None:
    row = attempt.workload_row(workload_id)
    row.trials += len(records)
    row.failed_trials += sum(record.state == RecordState.FAILED for record in records)
    latencies = [record.latency_us for record in records if record.latency_us is not None]
    row.best_latency_us = min([*latencies, *([row.best_latency_us] if row.best_latency_us else [])], default=None)
    attempt.session.flush()
    attempt.tell_workload("progress", workload_id)


def _known(document: str) -> str:
    """A `KnownRecord`. What was validated when it came in is only cut here: there may be thousands."""
    record = json.loads(document)
    return json.dumps({name: record[name] for name in KnownRecord.model_fields})
