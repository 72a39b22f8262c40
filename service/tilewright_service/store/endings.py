"""How jobs and attempts end, and what becomes of a job whose attempt has ended."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tilewright.contract.attempts import Cause
from tilewright.contract.events import FINAL_EVENTS, EndData, RequeuedData, RequeuedEvent
from tilewright.contract.jobs import JobState, WorkloadState
from tilewright.contract.workers import AttemptKey
from tilewright_service.store.blame import give_back
from tilewright_service.store.demand import note_demand
from tilewright_service.store.events import tell
from tilewright_service.store.instant import now
from tilewright_service.store.interests import withdraw
from tilewright_service.store.jobs import job_row
from tilewright_service.store.tables import FOR_CHANGE, AttemptRow, JobRow, JobWorkloadRow

CANCELLED = "cancelled on request"


def cancel_job(session: Session, job_id: int, caller: str, everybody: bool = False) -> None:
    """Withdraw the caller's interest. A job that nobody wants any more is cancelled: at once, or when its attempts have
    stopped. A final one stays as it is. Raises NotYours.
    """
    job = job_row(session, job_id, lock=True)
    if JobState(job.state).is_final or not withdraw(session, job, caller, everybody):
        return
    if job.cancel_requested_at is None:
        job.cancel_requested_at = now()
        job.open_request_sha256 = None
    settle_job(session, job)


def settle_job(session: Session, job: JobRow) -> None:
    """What follows for a job from the states of its workloads and attempts. To be called after they have changed."""
    session.flush()
    if JobState(job.state).is_final:
        return
    has_attempts = _has_open_attempts(session, job.id)
    counts = _count_workloads(session, job.id)
    if not set(counts) - {WorkloadState.DONE, WorkloadState.FAILED}:
        _end_settled(session, job, counts)
    elif job.cancel_requested_at is not None and not has_attempts:
        before = "" if job.started_at else "cancelled before it ran"
        end_job(session, job, JobState.CANCELLED, before or CANCELLED)
    else:
        job.state = JobState.RUNNING if has_attempts else JobState.QUEUED
    note_demand(session, job)


def end_job(session: Session, job: JobRow, state: JobState, reason: str | None = None) -> None:
    """`state` is a final one; `reason` may come from a worker, with bytes that no database takes."""
    job.state = state
    job.reason = reason and reason.replace("\0", "")
    job.finished_at = now()
    job.open_request_sha256 = None
    job.wants_worker = False
    tell(session, job.id, FINAL_EVENTS[state], EndData(reason=job.reason))


def end_attempt(session: Session, key: AttemptKey, cause: Cause, reason: str) -> bool:
    """The attempt ended without a result of its own; what it was at is given back. False if it had ended before."""
    job = session.get(JobRow, key.job_id, with_for_update=FOR_CHANGE)
    attempt = session.get(AttemptRow, (key.job_id, key.attempt))
    if job is None or attempt is None or not attempt.is_open:
        return False
    close_attempt(session, job, attempt, "lost", cause, reason)
    return True


def close_attempt(
    session: Session, job: JobRow, attempt: AttemptRow, outcome: str, cause: Cause = Cause.MOMENT, reason: str = ""
) -> None:
    """However it ended: it has no authority any more, and the job goes on without it."""
    reason = reason.replace("\0", "")
    attempt.is_open = False
    attempt.ended_at = now()
    attempt.outcome = outcome
    attempt.reason = reason or None
    give_back(session, job, attempt, cause, reason)
    settle_job(session, job)
    if reason and not JobState(job.state).is_final:
        job.reason = reason
        tell(session, job.id, RequeuedEvent, RequeuedData(attempt=attempt.number, reason=reason))


def _has_open_attempts(session: Session, job_id: int) -> bool:
    question = select(AttemptRow.number).where(AttemptRow.job_id == job_id, AttemptRow.is_open).limit(1)
    return session.scalar(question) is not None


def _count_workloads(session: Session, job_id: int) -> dict[str, int]:
    question = select(JobWorkloadRow.state, func.count()).where(JobWorkloadRow.job_id == job_id)
    return dict(session.execute(question.group_by(JobWorkloadRow.state)).all())


def _end_settled(session: Session, job: JobRow, counts: dict[str, int]) -> None:
    failed = counts.get(WorkloadState.FAILED, 0)
    if not failed:
        end_job(session, job, JobState.FINISHED)
        return
    question = select(JobWorkloadRow.reason).where(
        JobWorkloadRow.job_id == job.id, JobWorkloadRow.state == WorkloadState.FAILED
    )
    reason = session.scalar(question.order_by(JobWorkloadRow.position).limit(1))
    whole = sum(counts.values())
    which = "its workload" if whole == 1 else f"{failed} of its {whole} workloads"
    end_job(session, job, JobState.FAILED, f"{which} could not be tuned: {reason}")
