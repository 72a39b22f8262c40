"""Requests become jobs, unless a job that does the same is there already."""

import hashlib
import json
from collections import Counter
from functools import cache
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, case, exists, or_, select
from sqlalchemy.orm import Session

from tilewright import __version__
from tilewright.contract.events import QueuedData, QueuedEvent
from tilewright.contract.jobs import JobRequest, JobState, WorkloadState
from tilewright.contract.workload import Workload
from tilewright.errors import IdempotencyConflict, Unavailable
from tilewright.workloads.zoo import network_workloads
from tilewright_service.store.events import tell
from tilewright_service.store.instant import now
from tilewright_service.store.interests import NOBODY, add_interest
from tilewright_service.store.known import covers_seconds, settle_known
from tilewright_service.store.lanes import ANY_HOST_CLASS
from tilewright_service.store.limits import NO_LIMITS, QueueLimits
from tilewright_service.store.tables import IdempotencyKeyRow, JobRow, JobWorkloadRow
from tilewright_service.store.upsert import insert
from tilewright_service.store.workloads import keep_workloads


class Submission(NamedTuple):
    job: JobRow
    adds_work: bool

    @property
    def job_id(self) -> int:
        return self.job.id


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
    return Submission(session.get_one(JobRow, known.job_id), adds_work=False)


def _is_new(session: Session, key: str, digest: str) -> bool:
    """Takes the key first, so that of several at once one makes the job, and the others find it made."""
    row = {"key": key, "request_sha256": digest, "created_at": now()}
    taken = insert(session, IdempotencyKeyRow).on_conflict_do_nothing().returning(IdempotencyKeyRow.key)
    return session.scalar(taken, row) is not None


def _find_or_create(session: Session, request: JobRequest, caller: str, limits: QueueLimits) -> Submission:
    workloads = _workloads(request)
    digest = _request_digest(request, workloads)
    job = _find(session, request, digest)
    if job is None:
        limits.check(session, caller)
    if job is None and (job := _create(session, request, digest, workloads, caller)) is not None:
        settle_known(session, job)
        return Submission(job, adds_work=job.state == JobState.QUEUED)
    job = job or _find_made_meanwhile(session, request, digest)
    _join(session, job, request, caller)
    return Submission(job, adds_work=False)


def _join(session: Session, job: JobRow, request: JobRequest, caller: str) -> None:
    if not JobState(job.state).is_final:
        job.priority = max(job.priority, request.priority)
        add_interest(session, job, caller)


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


def _find(session: Session, request: JobRequest, digest: str) -> JobRow | None:
    """Locked, so that it is as it was found until the caller is one of those who want it."""
    asked = {"digest": digest, "trials": request.trials, "seconds": request.seconds}
    return session.scalar(_equals(request.seconds is not None), asked)


@cache
def _equals(has_limit: bool) -> Select[JobRow]:
    is_open = JobRow.state.in_([JobState.QUEUED, JobState.RUNNING]) & JobRow.cancel_requested_at.is_(None)
    return (
        select(JobRow)
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


def _find_made_meanwhile(session: Session, request: JobRequest, digest: str) -> JobRow:
    """By who asked the same at the same moment."""
    same = JobRow.open_request_sha256 == _open_digest(request, digest)
    job: JobRow | None = session.scalar(select(JobRow).where(same).with_for_update(key_share=True))
    if job is None:
        raise Unavailable("the same was asked for, and ended, at this very moment: ask again")
    return job


def _create(
    session: Session, request: JobRequest, digest: str, workloads: list[tuple[Workload, int]], caller: str
) -> JobRow | None:
    """None when an equal one was made at the same moment."""
    values = {
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
    statement = insert(session, JobRow).on_conflict_do_nothing().returning(JobRow)
    job: JobRow | None = session.scalar(statement, values)
    if job is None:
        return None
    keep_workloads(session, [workload for workload, _ in workloads])
    rows = [
        {
            "job_id": job.id,
            "workload_id": workload.id,
            "position": position,
            "occurrences": occurrences,
            "state": WorkloadState.QUEUED,
        }
        for position, (workload, occurrences) in enumerate(workloads)
    ]
    session.execute(insert(session, JobWorkloadRow.__table__), rows)
    add_interest(session, job, caller)
    tell(session, job.id, QueuedEvent, QueuedData(workloads=len(workloads)))
    session.flush()
    return job


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
