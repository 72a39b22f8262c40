"""What the dispatcher asks the store: which attempts there are."""

from dataclasses import dataclass

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from tilewright.contract.jobs import WorkloadState
from tilewright.contract.workers import AttemptKey
from tilewright_service.store.tables import AttemptRow, JobRow, JobWorkloadRow


@dataclass(frozen=True)
class OpenAttempt:
    key: AttemptKey
    worker: str
    is_started: bool
    is_cancelled: bool
    """Nobody wants its job any more."""
    beats: int
    progress: int
    workload_id: str | None
    """What it is at."""
    seconds: float | None
    """The budget of its job for each workload."""


def open_attempts(session: Session) -> list[OpenAttempt]:
    held = and_(
        JobWorkloadRow.job_id == AttemptRow.job_id,
        JobWorkloadRow.attempt == AttemptRow.number,
        JobWorkloadRow.state == WorkloadState.RUNNING,
    )
    rows = session.execute(
        select(AttemptRow, JobRow.cancel_requested_at, JobRow.seconds, JobWorkloadRow.workload_id)
        .join(JobRow, JobRow.id == AttemptRow.job_id)
        .outerjoin(JobWorkloadRow, held)
        .where(AttemptRow.is_open)
    )
    return [
        OpenAttempt(
            key=AttemptKey(job_id=attempt.job_id, attempt=attempt.number),
            worker=attempt.worker,
            is_started=attempt.started_at is not None,
            is_cancelled=cancelled_at is not None,
            beats=attempt.beats,
            progress=attempt.progress,
            workload_id=workload_id,
            seconds=seconds,
        )
        for attempt, cancelled_at, seconds, workload_id in rows
    ]
