"""Who may change what: an open attempt its lease, and of its job the workload that it was assigned."""

import hashlib
import hmac
import secrets

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from tilewright.contract.jobs import WorkloadState
from tilewright.contract.workers import AttemptKey
from tilewright.errors import StaleAttempt, Unauthorized
from tilewright_service.store.jobs import job_row
from tilewright_service.store.tables import AttemptRow, JobRow, JobWorkloadRow

DIGEST = select(AttemptRow.token_sha256).where(
    AttemptRow.job_id == bindparam("job_id"), AttemptRow.number == bindparam("number")
)


def new_token() -> str:
    return f"tw_attempt_{secrets.token_urlsafe(32)}"


def token_digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def stored_digest(session: Session, key: AttemptKey) -> str | None:
    """Of the token of an attempt: one row, which is not locked."""
    return session.scalar(DIGEST, {"job_id": key.job_id, "number": key.attempt})


def require_token(key: AttemptKey, digest: str | None, token: str) -> None:
    """Raises Unauthorized for any token but that of the attempt."""
    if not hmac.compare_digest(digest or "", token_digest(token)):
        raise Unauthorized(f"this is not the token of attempt {key.attempt} of job {key.job_id}")


def lock_attempt(session: Session, key: AttemptKey) -> tuple[AttemptRow, JobRow]:
    """An attempt, whatever became of it, and its job, whose row stays locked until the transaction ends."""
    job = job_row(session, key.job_id, lock=True)
    return session.get_one(AttemptRow, (key.job_id, key.attempt)), job


def require_authority(session: Session, key: AttemptKey) -> tuple[AttemptRow, JobRow]:
    """As `lock_attempt`. Raises StaleAttempt unless the attempt is open."""
    attempt, job = lock_attempt(session, key)
    require_open(attempt, job)
    return attempt, job


def see_authority(session: Session, key: AttemptKey) -> tuple[AttemptRow, JobRow]:
    """As `require_authority`, in a snapshot, which locks nothing."""
    attempt, job = session.get_one(AttemptRow, (key.job_id, key.attempt)), job_row(session, key.job_id)
    require_open(attempt, job)
    return attempt, job


def require_open(attempt: AttemptRow, job: JobRow) -> None:
    """Raises StaleAttempt."""
    if not attempt.is_open:
        raise StaleAttempt(f"attempt {attempt.number} of job {job.id} has ended; the job is {job.state}")


def require_workload(attempt: AttemptRow, row: JobWorkloadRow) -> None:
    """Raises StaleAttempt unless the attempt is at this workload."""
    if row.attempt != attempt.number or row.state != WorkloadState.RUNNING:
        which = f"workload {row.workload_id} of job {row.job_id}"
        by = "nobody" if row.state != WorkloadState.RUNNING else f"attempt {row.attempt}"
        raise StaleAttempt(f"{which} is {row.state}, and tuned by {by}, not by attempt {attempt.number}")
