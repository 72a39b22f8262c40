"""How jobs and attempts end, and what becomes of a job whose attempt has ended."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from tilewright.contract.events import FINAL_EVENTS, EndData, RequeuedData, RequeuedEvent
from tilewright.contract.jobs import JobState, WorkloadState
from tilewright_service.store.events import tell
from tilewright_service.store.instant import now
from tilewright_service.store.jobs import job_row
from tilewright_service.store.tables import FOR_CHANGE, AttemptRow, JobRow, JobWorkloadRow

MAX_ATTEMPTS_WITHOUT_PROGRESS = 5
"""So many attempts in a row that end without a result and without a new record: the job is given up."""


def cancel_job(session: Session, job_id: int) -> None:
    """A queued job is cancelled at once; a running one when its attempt has stopped. A final one stays as it is."""
    job = job_row(session, job_id, lock=True)
    if job.state == JobState.QUEUED:
        end_job(session, job, JobState.CANCELLED, "cancelled before it ran")
    elif job.state == JobState.RUNNING and job.cancel_requested_at is None:
        job.cancel_requested_at = now()
    session.flush()


def end_job(session: Session, job: JobRow, state: JobState, reason: str | None = None) -> None:
    """`state` is a final one; `reason` may come from a worker, with bytes that no database takes."""
    job.state = state
    job.reason = reason and reason.replace("\0", "")
    job.finished_at = now()
    tell(session, job.id, FINAL_EVENTS[state], EndData(reason=job.reason))


def end_attempt(session: Session, job_id: int, number: int, reason: str, is_blameless: bool = False) -> bool:
    """The attempt ended without a result: its job goes back to the queue, or ends. False if it had ended before.

    A blameless end, such as a restart of the service, does not count towards giving up.
    """
    job = session.get(JobRow, job_id, with_for_update=FOR_CHANGE)
    attempt = session.get(AttemptRow, (job_id, number))
    if job is None or attempt is None or not attempt.is_open:
        return False
    close_attempt(attempt, "lost", reason)
    if not is_blameless:
        job.attempts_without_progress = 0 if attempt.stored_records else job.attempts_without_progress + 1
    if job.cancel_requested_at is not None:
        end_job(session, job, JobState.CANCELLED, "cancelled on request")
    elif job.attempts_without_progress >= MAX_ATTEMPTS_WITHOUT_PROGRESS:
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
    tell(session, job.id, RequeuedEvent, RequeuedData(attempt=job.attempt, reason=job.reason))


def _give_up(session: Session, job: JobRow, reason: str) -> None:
    lost = f"the last {job.attempts_without_progress} attempts brought no new record"
    end_job(session, job, JobState.FAILED, f"{lost}; the last one: {reason}")
