"""What the dispatcher asks the store: who is next, who runs, who has gone silent."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from tilewright.contract.jobs import JobState
from tilewright_service.store.authority import new_token, token_digest
from tilewright_service.store.instant import now
from tilewright_service.store.tables import AttemptRow, JobRow

WAITS = "it waits: "


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
    """Take the next job by priority, then age.

    Jobs for more than `cores` are passed over; the next one waits for `free_cores` rather than being overtaken.
    """
    job = session.scalar(
        select(JobRow)
        .where(JobRow.state == JobState.QUEUED, JobRow.threads <= cores)
        .order_by(JobRow.priority.desc(), JobRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if job is None or job.threads > free_cores:
        return None
    job.state = JobState.RUNNING
    job.reason = None
    job.attempt += 1
    token = new_token()
    session.add(_attempt(job, token, server_id, launch_seconds))
    return Claim(job.id, job.attempt, token, job.threads)


def count_queued(session: Session) -> int:
    return session.scalar(select(func.count()).where(JobRow.state == JobState.QUEUED)) or 0


def explain_waiting(session: Session, cores: int, reason: str) -> None:
    """Jobs for more than `cores` wait, and say why; others do not say so any more."""
    queued = update(JobRow).where(JobRow.state == JobState.QUEUED)
    session.execute(
        queued.where(JobRow.threads <= cores, JobRow.reason.startswith(WAITS)).values(reason=None),
        execution_options={"synchronize_session": False},
    )
    session.execute(
        queued.where(JobRow.threads > cores, JobRow.reason.is_distinct_from(WAITS + reason)).values(
            reason=WAITS + reason
        ),
        execution_options={"synchronize_session": False},
    )


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
