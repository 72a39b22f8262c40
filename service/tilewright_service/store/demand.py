"""Whether a job wants one more worker: it has more queued workloads than attempts that have yet to take one."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, true
from sqlalchemy.orm import Session

from tilewright.contract.jobs import JobState, WorkloadState
from tilewright_service.store.instant import now
from tilewright_service.store.tables import AttemptRow, JobRow, JobWorkloadRow

AVOIDED_SECONDS = 300.0
"""So long a workload waits for a host at which it has not failed."""


def note_demand(session: Session, job: JobRow) -> None:
    """To be called after every change of a job's state, workloads or attempts."""
    session.flush()
    is_wanted = not JobState(job.state).is_final and job.cancel_requested_at is None
    job.wants_worker = is_wanted and _queued_workloads(session, job.id) > _idle_attempts(session, job.id)
    session.flush()


def is_queued(job_id: int) -> Any:
    return and_(JobWorkloadRow.job_id == job_id, JobWorkloadRow.state == WorkloadState.QUEUED)


def has_just_failed_on(hostname: str) -> ColumnElement[bool]:
    """Whether a workload is for another host now; for a while, as the others may have enough to do."""
    last = select(AttemptRow.ended_at).where(
        AttemptRow.job_id == JobWorkloadRow.job_id, AttemptRow.number == JobWorkloadRow.attempt
    )
    is_recent = func.coalesce(last.scalar_subquery() > now() - timedelta(seconds=AVOIDED_SECONDS), true())
    return JobWorkloadRow.failed_on.is_not_distinct_from(hostname) & is_recent


def _queued_workloads(session: Session, job_id: int) -> int:
    return session.scalar(select(func.count()).select_from(JobWorkloadRow).where(is_queued(job_id))) or 0


def _idle_attempts(session: Session, job_id: int) -> int:
    is_idle = and_(AttemptRow.job_id == job_id, AttemptRow.is_open, ~AttemptRow.has_taken)
    return session.scalar(select(func.count()).select_from(AttemptRow).where(is_idle)) or 0
