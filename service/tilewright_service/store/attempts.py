"""One process at a job, as it tells it: it starts, takes one workload after the other, and ends."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tilewright.contract.attempts import (
    AttemptBrief,
    Cause,
    Failed,
    Interrupted,
    Renewal,
    Report,
    Start,
    WorkloadFailure,
    WorkloadOutcome,
)
from tilewright.contract.events import ProgressEvent, StartedData, StartedEvent, WorkloadDoneEvent
from tilewright.contract.jobs import JobState, WorkloadState
from tilewright.contract.workers import AttemptKey
from tilewright.errors import InvalidRequest, StaleAttempt
from tilewright_service.store.ailing import note_fit_host
from tilewright_service.store.authority import lock_attempt, require_authority, require_open, require_workload
from tilewright_service.store.blame import blame_workload
from tilewright_service.store.endings import close_attempt, settle_job
from tilewright_service.store.events import tell, tell_workloads
from tilewright_service.store.hosts import keep_host
from tilewright_service.store.instant import now
from tilewright_service.store.jobs import job_workload_row
from tilewright_service.store.leadership import database_id
from tilewright_service.store.tables import AttemptRow, JobRow, ScheduleRow


def start_attempt(session: Session, key: AttemptKey, start: Start, lease_seconds: float) -> AttemptBrief:
    """Safe to repeat for the process that started it. Raises StaleAttempt for any other."""
    attempt, job = require_authority(session, key)
    if attempt.process not in (None, start.process):
        raise StaleAttempt(f"attempt {key.attempt} of job {key.job_id} was started by another process")
    _require_host(attempt, start)
    keep_host(session, start.host)
    if attempt.started_at is None:
        attempt.process = start.process
        attempt.started_at = now()
        job.started_at = job.started_at or attempt.started_at
        data = StartedData(attempt=attempt.number, hostname=start.host.hostname, host_class=start.host.host_class)
        if not JobState(job.state).is_final:  # others have done it meanwhile, and nothing comes after its end
            tell(session, job.id, StartedEvent, data)
    attempt.beats += 1
    return AttemptBrief(
        target=job.target,
        threads=job.threads,
        lease_seconds=lease_seconds,
        database_id=database_id(session),
    )


def renew_lease(session: Session, key: AttemptKey, renewal: Renewal) -> bool:
    """Whether the attempt has to stop, because nobody wants its job any more. Waits for nobody who is at the job."""
    mine = (AttemptRow.job_id == key.job_id) & (AttemptRow.number == key.attempt)
    renewed = (
        update(AttemptRow).where(mine, AttemptRow.is_open).values(beats=AttemptRow.beats + 1, progress=renewal.progress)
    )
    if session.scalar(renewed.returning(AttemptRow.number)) is None:
        raise StaleAttempt(f"attempt {key.attempt} of job {key.job_id} has ended")
    return session.scalar(select(JobRow.cancel_requested_at).where(JobRow.id == key.job_id)) is not None


def conclude_workload(session: Session, key: AttemptKey, outcome: WorkloadOutcome) -> None:
    """The search of one workload has ended. Safe to repeat."""
    attempt, job = require_authority(session, key)
    row = job_workload_row(session, key.job_id, outcome.workload_id)
    if row.state == WorkloadState.DONE and row.attempt == key.attempt:
        return
    require_workload(attempt, row)
    row.state = WorkloadState.DONE
    row.seconds = (row.seconds or 0.0) + outcome.seconds
    row.stop_reason = outcome.stop_reason
    row.schedule_id = _check_schedule(session, outcome) or row.schedule_id
    row.reason = None
    row.tries = row.interruptions = 0
    attempt.stored_records = 0
    note_fit_host(session, attempt.hostname)
    session.flush()
    tell_workloads(session, key.job_id, [outcome.workload_id], WorkloadDoneEvent)
    settle_job(session, job)


def fail_workload(session: Session, key: AttemptKey, failure: WorkloadFailure) -> None:
    """The attempt could not tune what it has, and goes on with another. Safe to repeat."""
    attempt, job = require_authority(session, key)
    row = job_workload_row(session, key.job_id, failure.workload_id)
    if row.attempt == key.attempt and row.state != WorkloadState.RUNNING:
        return
    require_workload(attempt, row)
    blame_workload(session, job, attempt, row, failure.cause, failure.reason)
    session.flush()
    if row.state == WorkloadState.QUEUED:
        tell_workloads(session, job.id, [row.workload_id], ProgressEvent)
    settle_job(session, job)


def report_result(session: Session, key: AttemptKey, report: Report) -> None:
    """The attempt has ended. Safe to repeat."""
    attempt, job = lock_attempt(session, key)
    if attempt.outcome == report.outcome:
        return
    require_open(attempt, job)
    match report:
        case Failed(cause=cause, reason=reason):
            close_attempt(session, job, attempt, report.outcome, cause, reason)
        case Interrupted() if job.cancel_requested_at is None:
            close_attempt(session, job, attempt, report.outcome, Cause.MOMENT, "the attempt was interrupted")
        case _:
            close_attempt(session, job, attempt, report.outcome)


def _require_host(attempt: AttemptRow, start: Start) -> None:
    """What it measures counts for the host that it was given to, and for no other."""
    told = (start.host.hostname, start.host.host_class)
    if told != (attempt.hostname, attempt.host_class) or attempt.isa not in start.host.isas:
        raise InvalidRequest(
            f"this attempt is for {attempt.isa} on host {attempt.hostname}, {attempt.host_class}, not for {told}"
        )


def _check_schedule(session: Session, outcome: WorkloadOutcome) -> int | None:
    if outcome.schedule_id is None:
        return None
    schedule = session.get(ScheduleRow, outcome.schedule_id)
    if schedule is None or schedule.workload_id != outcome.workload_id:
        raise InvalidRequest(f"schedule {outcome.schedule_id} is not one of workload {outcome.workload_id}")
    return schedule.id
