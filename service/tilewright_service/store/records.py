"""Records: facts that are stored once, whoever brings them and however late."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from tilewright.contract.attempts import KnownRecord
from tilewright.contract.events import ProgressEvent
from tilewright.contract.jobs import JobState
from tilewright.contract.records import NewRecord, RecordState
from tilewright.contract.target import Isa
from tilewright.contract.workers import AttemptKey
from tilewright.errors import InvalidRequest
from tilewright_service.documents import Document, document_of, join, pick, with_fields
from tilewright_service.store.authority import lock_attempt, require_open, see_authority
from tilewright_service.store.blame import held_workload
from tilewright_service.store.commit_order import in_commit_order
from tilewright_service.store.events import tell_workloads
from tilewright_service.store.jobs import job_row, job_workload_row
from tilewright_service.store.neighbours import neighbours
from tilewright_service.store.schedules import current_schedule
from tilewright_service.store.tables import FOR_CHANGE, AttemptRow, JobRow, RecordRow
from tilewright_service.store.upsert import insert

HISTORY_LIMIT = 2000

LOST = "lost"
"""The outcome of attempts that did not say how they ended: what they measured still counts."""

SLACK = 2
"""So many times its trials a job may have of a workload: one attempt may measure what another has not delivered yet."""


class AttemptOwner(NamedTuple):
    """The attempt that made a record."""

    job_id: int
    attempt: int


def store_records(session: Session, key: AttemptKey, records: Sequence[NewRecord]) -> int:
    """How many were new. Counts them to their jobs, once each.

    Takes those of the attempt itself, also after it was given up, and those that attempts before it left on its host.
    Raises StaleAttempt once it has ended by itself, and InvalidRequest for what is not its own.
    """
    groups = _by_owner(records)
    for job_id in sorted({key.job_id, *(owner.job_id for owner in groups)}):
        session.get(JobRow, job_id, with_for_update=FOR_CHANGE)  # always in this order: nobody waits for each other
    attempt, job = lock_attempt(session, key)
    if attempt.outcome not in (None, LOST):
        require_open(attempt, job)
    attempt.beats += 1
    for owner, group in sorted(groups.items()):
        _check(session, attempt, owner, group)
    stored = _insert(session, records)
    for (job_id, workload_id), rows in _by_workload(stored).items():
        _count(session, job_id, workload_id, rows)
        if job_id == job.id:
            _note_progress(session, attempt, workload_id, len(rows))
    return len(stored)


def history(session: Session, key: AttemptKey, workload_id: str, isa: Isa, with_neighbours: bool) -> Document:
    """A `History`: what is known of a workload on this path and the host class of the attempt, best first."""
    attempt, job = see_authority(session, key)
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


def _check(session: Session, attempt: AttemptRow, owner: AttemptOwner, records: Sequence[NewRecord]) -> None:
    """That these are of an attempt that this one may speak for, and within what that was asked to do."""
    made_by = _maker(session, attempt, owner)
    if made_by is None:
        raise InvalidRequest("provenance names an attempt that did not run on this host, or one that is later")
    job = job_row(session, owner.job_id, lock=True)
    for record in records:
        if record.target.threads != job.threads or record.target.isa != made_by.isa:
            raise InvalidRequest(f"the record is for another target than job {job.id} asks for")
        if record.provenance.host_class != made_by.host_class:
            raise InvalidRequest("the record is of another host class than its attempt")
    for workload_id, count in Counter(record.workload_id for record in records).items():
        row = job_workload_row(session, job.id, workload_id)
        if row.trials + count > SLACK * job.trials:
            raise InvalidRequest(f"job {job.id} asks for {job.trials} trials of a workload, and has {row.trials}")


def _maker(session: Session, attempt: AttemptRow, owner: AttemptOwner) -> AttemptRow | None:
    if owner == AttemptOwner(attempt.job_id, attempt.number):
        return attempt
    before = session.get(AttemptRow, tuple(owner))
    return before if before is not None and not before.is_open and before.hostname == attempt.hostname else None


def _insert(session: Session, records: Sequence[NewRecord]) -> list[RecordRow]:
    in_commit_order(session, RecordRow)
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


def _by_owner(records: Iterable[NewRecord]) -> dict[AttemptOwner, list[NewRecord]]:
    groups: dict[AttemptOwner, list[NewRecord]] = defaultdict(list)
    for record in records:
        groups[AttemptOwner(record.provenance.job_id, record.provenance.attempt)].append(record)
    return groups


def _by_workload(rows: Iterable[RecordRow]) -> dict[tuple[int, str], list[RecordRow]]:
    groups: dict[tuple[int, str], list[RecordRow]] = defaultdict(list)
    for row in rows:
        groups[row.job_id, row.workload_id].append(row)
    return groups


def _note_progress(session: Session, attempt: AttemptRow, workload_id: str, count: int) -> None:
    held = held_workload(session, attempt)
    if held is not None and held.workload_id == workload_id:
        attempt.stored_records += count


def _count(session: Session, job_id: int, workload_id: str, records: list[RecordRow]) -> None:
    row = job_workload_row(session, job_id, workload_id)
    row.trials += len(records)
    row.failed_trials += sum(record.state == RecordState.FAILED for record in records)
    latencies = [record.latency_us for record in records if record.latency_us is not None]
    row.best_latency_us = min([*latencies, *([row.best_latency_us] if row.best_latency_us else [])], default=None)
    session.flush()
    if not JobState(job_row(session, job_id).state).is_final:
        tell_workloads(session, job_id, [workload_id], ProgressEvent)
