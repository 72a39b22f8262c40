"""Requests become jobs, unless a job that does the same is there already."""

import hashlib
import json
from collections import Counter
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, case, exists, insert, or_, select
from sqlalchemy.orm import Session

from tilewright import __version__
from tilewright.contract.events import QueuedData, QueuedEvent
from tilewright.contract.jobs import Job, JobRequest, JobState, WorkloadState
from tilewright.contract.workload import Workload
from tilewright.errors import IdempotencyConflict, Unavailable
from tilewright.workloads.zoo import network_workloads
from tilewright_service.store.events import tell
from tilewright_service.store.instant import now
from tilewright_service.store.interests import NOBODY, add_interest
from tilewright_service.store.jobs import NewJob, get_job, job_row, new_job
from tilewright_service.store.known import covers_seconds, find_known, settle
from tilewright_service.store.lanes import ANY_HOST_CLASS
from tilewright_service.store.limits import NO_LIMITS, QueueLimits
from tilewright_service.store.tables import IdempotencyKeyRow, JobRow, JobWorkloadRow
from tilewright_service.store.upsert import Upsert
from tilewright_service.store.waiting import Capacity
from tilewright_service.store.workloads import keep_workloads


class Submission(NamedTuple):
    job_id: int
    made: NewJob | None = None
    """Where it is a new job, of which nothing was known."""
    adds_work: bool = False

    def job(self, session: Session, capacity: Capacity | None) -> Job:
        """As it is now; of what was just written nothing is asked."""
        if self.made is not None:
            return new_job(session, self.made, capacity)
        return get_job(session, self.job_id, capacity)


def submit(
    session: Session,
    request: JobRequest,
    idempotency_key: str | None = None,
    caller: str = NOBODY,
    limits: QueueLimits = NO_LIMITS,
) -> Submission:
    """The job that does what is asked: one that is open or finished with at least this budget, or a new one.

    Of a new one only that is left to do which no job has done. The caller becomes one of those who want it. Raises
    TooManyRequests where there is no room for a new one.
    """
    if idempotency_key is None:
        return _find_or_create(session, request, caller, limits)
    digest = _digest(request.model_dump_json())
    if _is_new(session, idempotency_key, digest):
        submission = _find_or_create(session, request, caller, limits)
        session.get_one(IdempotencyKeyRow, idempotency_key).job_id = submission.job_id
        return submission
    known = session.get_one(IdempotencyKeyRow, idempotency_key)
    if known.request_sha256 != digest:
        raise IdempotencyConflict(f"the Idempotency-Key {idempotency_key!r} came with another request before")
    assert known.job_id is not None
    return Submission(known.job_id)


def _is_new(session: Session, key: str, digest: str) -> bool:
    """Takes the key first, so that of several at once one makes the job, and the others find it made."""
    row = {"key": key, "request_sha256": digest, "created_at": now()}
    return session.scalar(TAKEN.of(session), row) is not None


def _find_or_create(session: Session, request: JobRequest, caller: str, limits: QueueLimits) -> Submission:
    workloads = _workloads(request)
    digest = _request_digest(request, workloads)
    job_id = _find(session, request, digest)
    if job_id is None:
        limits.check(session, caller)
    if job_id is None and (made := _create(session, request, digest, workloads, caller)) is not None:
        return _settle(session, made)
    job_id = job_id or _find_made_meanwhile(session, request, digest)
    _join(session, job_id, request, caller)
    return Submission(job_id)


def _settle(session: Session, made: NewJob) -> Submission:
    """What is known already is done."""
    known = find_known(session, made.row)
    if not known:
        return Submission(made.row.id, made, adds_work=True)
    job = job_row(session, made.row.id)
    settle(session, job, known)
    return Submission(job.id, adds_work=job.state == JobState.QUEUED)


def _join(session: Session, job_id: int, request: JobRequest, caller: str) -> None:
    job = job_row(session, job_id)
    if not JobState(job.state).is_final:
        job.priority = max(job.priority, request.priority)
        add_interest(session, job.id, caller)


def _workloads(request: JobRequest) -> list[tuple[Workload, int]]:
    """Distinct workloads in the order asked for, with how often each occurs."""
    if request.network is not None:
        return network_workloads(request.network, request.batch or 1)
    return list(Counter(request.workloads or ()).items())


def _request_digest(request: JobRequest, workloads: list[tuple[Workload, int]]) -> str:
    asked = [(workload.id, occurrences) for workload, occurrences in workloads]
    return _digest(json.dumps([asked, request.target, request.threads, request.host_class]))


def _open_digest(request: JobRequest, digest: str) -> str:
    return _digest(json.dumps([digest, request.trials, request.seconds]))


def _find(session: Session, request: JobRequest, digest: str) -> int | None:
    """Locked, so that it is as it was found until the caller is one of those who want it."""
    asked = {"digest": digest, "trials": request.trials, "seconds": request.seconds}
    job_id: int | None = session.connection().scalar(_equals(request.seconds is not None), asked)
    return job_id


@cache
def _equals(has_limit: bool) -> Select[int]:
    is_open = JobRow.state.in_([JobState.QUEUED, JobState.RUNNING]) & JobRow.cancel_requested_at.is_(None)
    return (
        select(JobRow.id)
        .where(
            JobRow.request_sha256 == bindparam("digest"),
            or_(is_open, _answers()),
            JobRow.trials >= bindparam("trials"),
            covers_seconds(has_limit),
        )
        .order_by(case((JobRow.state == JobState.FINISHED, 1), else_=0), JobRow.id.desc())
        .limit(1)
        .with_for_update(key_share=True)
    )


def _answers() -> ColumnElement[bool]:
    """Whether a job has what this version would find again: a schedule for each of its workloads."""
    lacks = exists().where(JobWorkloadRow.job_id == JobRow.id, JobWorkloadRow.schedule_id.is_(None))
    return (JobRow.state == JobState.FINISHED) & (JobRow.version == __version__) & ~lacks


def _find_made_meanwhile(session: Session, request: JobRequest, digest: str) -> int:
    """By who asked the same at the same moment."""
    same = JobRow.open_request_sha256 == _open_digest(request, digest)
    job_id: int | None = session.scalar(select(JobRow.id).where(same).with_for_update(key_share=True))
    if job_id is None:
        raise Unavailable("the same was asked for, and ended, at this very moment: ask again")
    return job_id


def _create(
    session: Session, request: JobRequest, digest: str, workloads: list[tuple[Workload, int]], caller: str
) -> NewJob | None:
    """None when an equal one was made at the same moment."""
    values = _values(request, digest, caller)
    job_id: int | None = session.connection().scalar(MADE.of(session), values)
    if job_id is None:
        return None
    keep_workloads(session, [workload for workload, _ in workloads])
    rows = [_queued(job_id, position, *each) for position, each in enumerate(workloads)]
    session.connection().execute(QUEUED, rows)
    add_interest(session, job_id, caller)
    tell(session, job_id, QueuedEvent, QueuedData(workloads=len(workloads)))
    return NewJob(
        JobRow(id=job_id, **values),
        [(JobWorkloadRow(**row), each) for row, (each, _) in zip(rows, workloads, strict=True)],
    )


def _values(request: JobRequest, digest: str, caller: str) -> dict[str, Any]:
    return {
        "request_sha256": digest,
        "open_request_sha256": _open_digest(request, digest),
        "version": __version__,
        "state": JobState.QUEUED,
        "network": request.network,
        "target": request.target,
        "threads": request.threads,
        "host_class": request.host_class or ANY_HOST_CLASS,
        "trials": request.trials,
        "seconds": request.seconds,
        "priority": request.priority,
        "submitter": caller,
        "wants_worker": True,
        "attempt": 0,
        "created_at": now(),
    }


def _queued(job_id: int, position: int, workload: Workload, occurrences: int) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "workload_id": workload.id,
        "position": position,
        "occurrences": occurrences,
        "state": WorkloadState.QUEUED,
        "trials": 0,
        "failed_trials": 0,
        "tries": 0,
        "interruptions": 0,
    }


MADE = Upsert(JobRow, lambda insert: insert.on_conflict_do_nothing().returning(JobRow.id))
TAKEN = Upsert(IdempotencyKeyRow, lambda insert: insert.on_conflict_do_nothing().returning(IdempotencyKeyRow.key))
QUEUED = insert(JobWorkloadRow.metadata.tables[JobWorkloadRow.__tablename__])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
