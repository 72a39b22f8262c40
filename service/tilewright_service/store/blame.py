"""Who is to blame when an attempt fails: what it was at, the host that it was on, or nobody."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tilewright.contract.attempts import Cause
from tilewright.contract.events import WorkloadFailedEvent
from tilewright.contract.jobs import WorkloadState
from tilewright_service.store.ailing import set_host_aside, strike_host
from tilewright_service.store.demand import is_queued
from tilewright_service.store.events import tell_workloads
from tilewright_service.store.tables import AttemptRow, JobRow, JobWorkloadRow

MAX_TRIES = 5
"""So many attempts in a row that fail at a workload without a new record: it is given up, and the others go on."""

MAX_INTERRUPTIONS = 20
"""So many in a row that end without a new record and without anybody's fault: what kills services is given up, too."""


def give_back(session: Session, job: JobRow, attempt: AttemptRow, cause: Cause, reason: str) -> None:
    """An attempt has ended: what it was at is free again, or has failed."""
    row = held_workload(session, attempt)
    if row is not None:
        blame_workload(session, job, attempt, row, cause, reason)
    elif reason:
        _interrupt_next(session, job, reason)
    if cause is Cause.HOST:
        set_host_aside(session, attempt.hostname, reason)
    elif cause is Cause.WORKLOAD:
        strike_host(session, attempt.hostname, None if row is None else row.workload_id, reason)


def blame_workload(
    session: Session, job: JobRow, attempt: AttemptRow, row: JobWorkloadRow, cause: Cause, reason: str
) -> None:
    """It did not come to its end in this attempt. What is the host's or the moment's costs it less than what is its."""
    has_progressed = attempt.stored_records > 0
    attempt.stored_records = 0
    if has_progressed:
        row.tries = row.interruptions = 0
    elif cause is Cause.WORKLOAD:
        row.tries += 1
    else:
        row.interruptions += 1
    if cause is not Cause.MOMENT:
        row.failed_on = attempt.hostname
    row.reason = reason.replace("\0", "") or None
    row.state = WorkloadState.QUEUED
    _give_up_at_last(session, job, row)


def _interrupt_next(session: Session, job: JobRow, reason: str) -> None:
    """An attempt that had no workload yet would have taken this one: so it is not launched for ever in vain."""
    question = select(JobWorkloadRow).where(is_queued(job.id)).order_by(JobWorkloadRow.position).limit(1)
    row = session.scalar(question)
    if row is not None:
        row.interruptions += 1
        row.reason = reason
        _give_up_at_last(session, job, row)


def held_workload(session: Session, attempt: AttemptRow) -> JobWorkloadRow | None:
    """What an attempt was assigned and has not ended yet: what it has authority over."""
    return session.scalar(
        select(JobWorkloadRow).where(
            JobWorkloadRow.job_id == attempt.job_id,
            JobWorkloadRow.attempt == attempt.number,
            JobWorkloadRow.state == WorkloadState.RUNNING,
        )
    )


def _give_up_at_last(session: Session, job: JobRow, row: JobWorkloadRow) -> None:
    if row.tries < MAX_TRIES and row.interruptions < MAX_INTERRUPTIONS:
        return
    count = max(row.tries, row.interruptions)
    row.state = WorkloadState.FAILED
    row.reason = f"the last {count} attempts brought no new record; the last one: {row.reason}"
    session.flush()
    tell_workloads(session, job.id, [row.workload_id], WorkloadFailedEvent)
