"""Requests become jobs, unless a job that does the same is there already."""

import hashlib
import json
from collections import Counter
from typing import NamedTuple

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from tilewright.contract.events import QueuedData, QueuedEvent
from tilewright.contract.jobs import JobRequest, JobState, WorkloadState
from tilewright.contract.workload import Workload
from tilewright.errors import IdempotencyConflict
from tilewright.workloads.zoo import network_workloads
from tilewright_service.store.events import tell
from tilewright_service.store.instant import now
from tilewright_service.store.known import covers_seconds, settle_known
from tilewright_service.store.tables import IdempotencyKeyRow, JobRow, JobWorkloadRow
from tilewright_service.store.upsert import insert
from tilewright_service.store.workloads import keep_workloads


class Submission(NamedTuple):
    job_id: int
    adds_work: bool


def submit(session: Session, request: JobRequest, idempotency_key: str | None = None) -> Submission:
    """The job that does what is asked: one that is open or finished with at least this budget, or a new one.

    Of a new one only that is left to do which no job has done.
    """
    if idempotency_key is None:
        return _find_or_create(session, request)
    digest = _digest(request.model_dump_json())
    known = session.get(IdempotencyKeyRow, idempotency_key)
    if known is None:
        submission = _find_or_create(session, request)
        key = {
            "key": idempotency_key,
            "request_sha256": digest,
            "job_id": submission.job_id,
            "created_at": now(),
        }
        session.execute(insert(session, IdempotencyKeyRow).values(key))
        return submission
    if known.request_sha256 != digest:
        raise IdempotencyConflict(f"the Idempotency-Key {idempotency_key!r} came with another request before")
    return Submission(known.job_id, adds_work=False)


def _find_or_create(session: Session, request: JobRequest) -> Submission:
    workloads = _workloads(request)
    digest = _request_digest(request, workloads)
    job = _find(session, request, digest)
    if job is not None:
        job.priority = max(job.priority, request.priority)
        return Submission(job.id, adds_work=False)
    job = _create(session, request, digest, workloads)
    settle_known(session, job)
    return Submission(job.id, adds_work=job.state == JobState.QUEUED)


def _workloads(request: JobRequest) -> list[tuple[Workload, int]]:
    """Distinct workloads in the order asked for, with how often each occurs."""
    if request.network is not None:
        return network_workloads(request.network, request.batch or 1)
    return list(Counter(request.workloads or ()).items())


def _request_digest(request: JobRequest, workloads: list[tuple[Workload, int]]) -> str:
    asked = [(workload.id, occurrences) for workload, occurrences in workloads]
    return _digest(json.dumps([asked, request.target, request.threads]))


def _find(session: Session, request: JobRequest, digest: str) -> JobRow | None:
    return session.scalar(
        select(JobRow)
        .where(
            JobRow.request_sha256 == digest,
            JobRow.state.in_([JobState.QUEUED, JobState.RUNNING, JobState.FINISHED]),
            JobRow.cancel_requested_at.is_(None),
            JobRow.trials >= request.trials,
            covers_seconds(request.seconds),
        )
        .order_by(case((JobRow.state == JobState.FINISHED, 1), else_=0), JobRow.id.desc())
        .limit(1)
    )


def _create(session: Session, request: JobRequest, digest: str, workloads: list[tuple[Workload, int]]) -> JobRow:
    job = JobRow(
        request_sha256=digest,
        state=JobState.QUEUED,
        network=request.network,
        target=request.target,
        threads=request.threads,
        trials=request.trials,
        seconds=request.seconds,
        priority=request.priority,
        created_at=now(),
    )
    session.add(job)
    keep_workloads(session, [workload for workload, _ in workloads])
    session.flush()
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
    session.execute(insert(session, JobWorkloadRow), rows)
    tell(session, job.id, QueuedEvent, QueuedData(workloads=len(workloads)))
    session.flush()
    return job


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
