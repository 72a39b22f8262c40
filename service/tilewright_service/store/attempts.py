"""One run of a job on one worker, as the worker tells it."""

from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tilewright.contract.attempts import (
    AttemptBrief,
    BriefedWorkload,
    Failed,
    Finished,
    Interrupted,
    Renewal,
    Report,
    WorkloadOutcome,
)
from tilewright.contract.events import StartedData, StartedEvent, WorkloadDoneEvent, WorkloadStartedEvent
from tilewright.contract.hosts import Host
from tilewright.contract.jobs import JobState, WorkloadState
from tilewright.contract.workers import AttemptKey
from tilewright.errors import InvalidRequest
from tilewright_service.store.authority import check_authority, lock_attempt, require_authority
from tilewright_service.store.endings import close_attempt, end_job, requeue
from tilewright_service.store.events import tell, tell_workloads
from tilewright_service.store.hosts import keep_host
from tilewright_service.store.instant import now
from tilewright_service.store.jobs import job_workload_row
from tilewright_service.store.tables import AttemptRow, JobRow, JobWorkloadRow, ScheduleRow, WorkloadRow
from tilewright_service.store.workloads import parse_workload


def start_attempt(session: Session, key: AttemptKey, host: Host, lease_seconds: float) -> AttemptBrief:
    """Safe to repeat."""
    attempt, job = require_authority(session, key)
    keep_host(session, host)
    if attempt.started_at is None:
        attempt.started_at = now()
        job.started_at = job.started_at or attempt.started_at
        data = StartedData(attempt=attempt.number, hostname=host.hostname, host_class=host.host_class)
        tell(session, job.id, StartedEvent, data)
    attempt.host_class = host.host_class
    _extend_lease(attempt, lease_seconds)
    return AttemptBrief(
        target=job.target,
        threads=job.threads,
        lease_seconds=lease_seconds,
        workloads=_open_workloads(session, job),
    )


def renew_lease(session: Session, key: AttemptKey, renewal: Renewal, lease_seconds: float) -> bool:
    """Whether the attempt has to stop because its job was cancelled."""
    attempt, job = require_authority(session, key)
    _extend_lease(attempt, lease_seconds)
    if renewal.workload_id is not None:
        _note_workload(session, job.id, renewal.workload_id)
    return job.cancel_requested_at is not None


def conclude_workload(session: Session, key: AttemptKey, outcome: WorkloadOutcome) -> None:
    """The search of one workload has ended. Safe to repeat."""
    require_authority(session, key)
    row = job_workload_row(session, key.job_id, outcome.workload_id)
    is_repeated = row.state == WorkloadState.DONE
    row.state = WorkloadState.DONE
    row.seconds = (row.seconds or 0.0) + outcome.seconds if not is_repeated else row.seconds
    row.stop_reason = outcome.stop_reason
    row.schedule_id = _check_schedule(session, outcome) or row.schedule_id
    session.flush()
    if not is_repeated:
        tell_workloads(session, key.job_id, [outcome.workload_id], WorkloadDoneEvent)


def report_result(session: Session, key: AttemptKey, report: Report) -> None:
    """The attempt has ended. Safe to repeat."""
    attempt, job = lock_attempt(session, key)
    if attempt.outcome == report.outcome:
        return
    check_authority(attempt, job)
    close_attempt(attempt, report.outcome, report.reason if isinstance(report, Failed) else None)
    match report:
        case Finished():
            _finish_workloads(session, job)
            end_job(session, job, JobState.FINISHED)
        case _ if job.cancel_requested_at is not None:
            end_job(session, job, JobState.CANCELLED, "cancelled on request")
        case Interrupted():
            requeue(session, job, "the attempt was interrupted")
        case Failed(reason=reason):
            end_job(session, job, JobState.FAILED, reason)


def _extend_lease(attempt: AttemptRow, seconds: float) -> None:
    attempt.lease_expires_at = now() + timedelta(seconds=seconds)


def _open_workloads(session: Session, job: JobRow) -> list[BriefedWorkload]:
    rows = session.execute(
        select(JobWorkloadRow, WorkloadRow.document)
        .join(WorkloadRow, WorkloadRow.id == JobWorkloadRow.workload_id)
        .where(JobWorkloadRow.job_id == job.id, JobWorkloadRow.state != WorkloadState.DONE)
        .order_by(JobWorkloadRow.position)
    )
    return [
        BriefedWorkload(workload=parse_workload(document), trials=max(job.trials - row.trials, 0), seconds=job.seconds)
        for row, document in rows
    ]


def _note_workload(session: Session, job_id: int, workload_id: str) -> None:
    row = job_workload_row(session, job_id, workload_id)
    if row.state == WorkloadState.QUEUED:
        row.state = WorkloadState.RUNNING
        session.flush()
        tell_workloads(session, job_id, [workload_id], WorkloadStartedEvent)


def _check_schedule(session: Session, outcome: WorkloadOutcome) -> int | None:
    if outcome.schedule_id is None:
        return None
    schedule = session.get(ScheduleRow, outcome.schedule_id)
    if schedule is None or schedule.workload_id != outcome.workload_id:
        raise InvalidRequest(f"schedule {outcome.schedule_id} is not one of workload {outcome.workload_id}")
    return schedule.id


def _finish_workloads(session: Session, job: JobRow) -> None:
    session.execute(
        update(JobWorkloadRow)
        .where(JobWorkloadRow.job_id == job.id, JobWorkloadRow.state != WorkloadState.DONE)
        .values(state=WorkloadState.DONE, stop_reason="the attempt ended without an outcome for it")
    )
