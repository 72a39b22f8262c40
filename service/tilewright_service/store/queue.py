"""What the dispatcher asks the store: who is next, who runs, who has gone silent."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tilewright.contract.jobs import JobState
from tilewright_service.store.authority import new_token, token_digest
from tilewright_service.store.instant import now
from tilewright_service.store.known import settle_known
from tilewright_service.store.tables import FOR_CHANGE, AttemptRow, JobRow

KNOWN_AT_ONCE = 32
"""So many jobs of which nothing is left end in one transaction, for which others have to wait; more in the next."""


@dataclass(frozen=True)
class Claim:
    """A job that was taken from the queue for a new attempt."""

    job_id: int
    attempt: int
    token: str
    threads: int


@dataclass(frozen=True)
class OpenAttempt:
    job_id: int
    number: int
    server_id: str
    lease_expires_at: datetime
    cancel_requested_at: datetime | None


def claim_next(session: Session, cores: int, free_cores: int, server_id: str, launch_seconds: float) -> Claim | None:
    """Take the next job by priority, then age. One that is known by now, all of it, finishes here.

    Jobs for more than `cores` are passed over; the next one waits for `free_cores` rather than being overtaken.
    """
    for _ in range(KNOWN_AT_ONCE):
        job = _next_job(session, cores)
        if job is None or job.threads > free_cores:
            return None
        settle_known(session, job)
        if job.state == JobState.QUEUED:
            return _claim(session, job, server_id, launch_seconds)
    return None


def count_queued(session: Session) -> int:
    return session.scalar(select(func.count()).where(JobRow.state == JobState.QUEUED)) or 0


def open_attempts(session: Session) -> list[OpenAttempt]:
    rows = session.execute(
        select(
            AttemptRow.job_id,
            AttemptRow.number,
            AttemptRow.server_id,
            AttemptRow.lease_expires_at,
            JobRow.cancel_requested_at,
        )
        .join(JobRow, JobRow.id == AttemptRow.job_id)
        .where(AttemptRow.is_open)
    )
    return [OpenAttempt(*row) for row in rows]


def _next_job(session: Session, cores: int) -> JobRow | None:
    return session.scalar(
        select(JobRow)
        .where(JobRow.state == JobState.QUEUED, JobRow.threads <= cores)
        .order_by(JobRow.priority.desc(), JobRow.id)
        .limit(1)
        .with_for_update(key_share=FOR_CHANGE["key_share"], skip_locked=True)
    )


def _claim(session: Session, job: JobRow, server_id: str, launch_seconds: float) -> Claim:
    job.state = JobState.RUNNING
    job.reason = None
    job.attempt += 1
    token = new_token()
    session.add(_attempt(job, token, server_id, launch_seconds))
    return Claim(job.id, job.attempt, token, job.threads)


def _attempt(job: JobRow, token: str, server_id: str, launch_seconds: float) -> AttemptRow:
    launched_at = now()
    return AttemptRow(
        job_id=job.id,
        number=job.attempt,
        token_sha256=token_digest(token),
        server_id=server_id,
        is_open=True,
        launched_at=launched_at,
        lease_expires_at=launched_at + timedelta(seconds=launch_seconds),
    )
