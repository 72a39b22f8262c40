"""How attempts end, and what becomes of their jobs."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from tilewright.contract import JobState
from tilewright.contract.jobs import WorkloadState
from tilewright_service.store.events import tell
from tilewright_service.store.instant import now
from tilewright_service.store.jobs import end_job
from tilewright_service.store.tables import AttemptRow, JobRow, JobWorkloadRow

MAX_BARREN_ATTEMPTS = 5
"""So many attempts in a row that end without a result and without a new record: the job is given up."""


def end_attempt(session: Session, job_id: int, number: int, reason: str, is_blameless: bool = False) -> bool:
    """The attempt ended without a result: its job goes back to the queue, or ends. False if it had ended before.

    A blameless end, such as a restart of the service, does not count towards giving up.
    """
    job = session.get(JobRow, job_id, with_for_update=True)
    attempt = session.get(AttemptRow, (job_id, number))
    if job is None or attempt is None or not attempt.is_open:
        return False
    close_attempt(attempt, "lost", reason)
    if not is_blameless:
        job.barren_attempts = 0 if attempt.stored_records else job.barren_attempts + 1
    if job.cancel_requested_at is not None:
        end_job(session, job, JobState.CANCELLED, "cancelled on request")
    elif job.barren_attempts >= MAX_BARREN_ATTEMPTS:
        _give_up(session, job, reason)
    else:
        requeue(session, job, reason)
    return True


def close_attempt(attempt: AttemptRow, outcome: str, reason: str | None) -> None:
    attempt.is_open = False
    attempt.ended_at = now()
    attempt.outcome = outcome
    attempt.reason = reason and reason.replace("\0", "")


def requeue(session: Session, job: JobRow, reason: str) -> None:
    job.state = JobState.QUEUED
    job.reason = reason.replace("\0", "")
    session.execute(
        update(JobWorkloadRow)
        .where(JobWorkloadRow.job_id == job.id, JobWorkloadRow.state == WorkloadState.RUNNING)
        .values(state=WorkloadState.QUEUED)
    )
    tell(session, job.id, "requeued", {"attempt": job.attempt, "reason": reason})


def _give_up(session: Session, job: JobRow, reason: str) -> None:
    summary = f"the last {job.barren_attempts} attempts brought no new record; the last one: {reason}"
    end_job(session, job, JobState.FAILED, summary.replace("\0", ""))
