"""Jobs as people see them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from tilewright.contract.jobs import Job, JobState, JobWorkload, Progress, WorkloadState
from tilewright.errors import InvalidRequest, NotFound
from tilewright_service.store.instant import now
from tilewright_service.store.tables import FOR_CHANGE, JobRow, JobWorkloadRow, ScheduleRow, WorkloadRow
from tilewright_service.store.waiting import Capacity, explain_waiting
from tilewright_service.store.workloads import gmacs, parse_workload

FINALS_SECONDS = 3.0
"""What comes after the search of a workload, which its budget does not count."""


def get_job(session: Session, job_id: int, capacity: Capacity | None) -> Job:
    return _as_jobs(session, [job_row(session, job_id)], capacity)[0]


def job_page(
    session: Session, state: JobState | None, before_id: int | None, limit: int, capacity: Capacity | None
) -> list[Job]:
    """Newest first."""
    question = select(JobRow).order_by(JobRow.id.desc()).limit(limit)
    if state is not None:
        question = question.where(JobRow.state == state)
    if before_id is not None:
        question = question.where(JobRow.id < before_id)
    return _as_jobs(session, session.scalars(question).all(), capacity)


def count_jobs(session: Session) -> dict[JobState, int]:
    counts = dict(session.execute(select(JobRow.state, func.count()).group_by(JobRow.state)).all())
    return {state: counts.get(state, 0) for state in JobState}


def job_row(session: Session, job_id: int, lock: bool = False) -> JobRow:
    """Raises NotFound. A row that is locked stays so until the transaction ends."""
    row = session.get(JobRow, job_id, with_for_update=FOR_CHANGE if lock else None)
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    return row


def job_workloads(session: Session, job_id: int, workload_ids: Sequence[str]) -> list[JobWorkload]:
    """Some of a job, in its order."""
    question = _select_workloads([job_id]).where(JobWorkloadRow.workload_id.in_(workload_ids))
    return [_as_job_workload(*row) for row in session.execute(question)]


def job_workload_row(session: Session, job_id: int, workload_id: str) -> JobWorkloadRow:
    """Raises InvalidRequest."""
    row = session.get(JobWorkloadRow, (job_id, workload_id))
    if row is None:
        raise InvalidRequest(f"workload {workload_id} is not part of job {job_id}")
    return row


def _as_jobs(session: Session, jobs: Sequence[JobRow], capacity: Capacity | None) -> list[Job]:
    workloads: dict[int, list[JobWorkload]] = {job.id: [] for job in jobs}
    for row in session.execute(_select_workloads(list(workloads))):
        workloads[row.JobWorkloadRow.job_id].append(_as_job_workload(*row))
    waiting = explain_waiting(session, jobs, capacity)
    return [_as_job(job, waiting.get(job.id, job.reason), workloads[job.id]) for job in jobs]


def _select_workloads(job_ids: list[int]) -> Select[Any, Any, Any, Any, Any]:
    return (
        select(
            JobWorkloadRow,
            WorkloadRow.document,
            ScheduleRow.latency_us,
            ScheduleRow.share_of_peak,
            ScheduleRow.speedup_over_default,
        )
        .join(WorkloadRow, WorkloadRow.id == JobWorkloadRow.workload_id)
        .outerjoin(ScheduleRow, ScheduleRow.id == JobWorkloadRow.schedule_id)
        .where(JobWorkloadRow.job_id.in_(job_ids))
        .order_by(JobWorkloadRow.job_id, JobWorkloadRow.position)
    )


def _as_job(row: JobRow, reason: str | None, workloads: list[JobWorkload]) -> Job:
    return Job(
        id=row.id,
        state=JobState(row.state),
        reason=reason,
        network=row.network,
        target=row.target,
        threads=row.threads,
        trials=row.trials,
        seconds=row.seconds,
        priority=row.priority,
        attempt=row.attempt,
        cancel_requested=row.cancel_requested_at is not None,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        progress=_progress(row, workloads),
        workloads=workloads,
    )


def _progress(job: JobRow, workloads: list[JobWorkload]) -> Progress:
    open_workloads = [each for each in workloads if each.state is not WorkloadState.DONE]
    trials = sum(each.trials for each in workloads)
    trials_left = sum(max(job.trials - each.trials, 0) for each in open_workloads)
    return Progress(
        workloads=len(workloads),
        workloads_done=len(workloads) - len(open_workloads),
        trials=trials,
        trials_planned=trials + trials_left,
        seconds_left=_seconds_left(job, workloads, open_workloads, trials_left),
    )


def _seconds_left(
    job: JobRow, workloads: list[JobWorkload], still_open: list[JobWorkload], trials_left: int
) -> float | None:
    """At the pace of the workloads that are done; before the first is, at that of the trials."""
    if JobState(job.state).is_final:
        return 0.0
    if job.started_at is None:
        return None
    elapsed = (now() - job.started_at).total_seconds()
    searched = sum(each.state is WorkloadState.DONE and bool(each.trials) for each in workloads)
    begun = sum(min(each.trials / job.trials, 1.0) for each in still_open)
    if searched:
        return elapsed / (searched + begun) * (len(still_open) - begun)
    trials = sum(each.trials for each in still_open)
    if not trials:
        return None
    estimate = elapsed / trials * trials_left
    return estimate if job.seconds is None else min(estimate, (job.seconds + FINALS_SECONDS) * len(still_open))


def _as_job_workload(
    row: JobWorkloadRow,
    document: str,
    published_latency_us: float | None,
    share_of_peak: float | None,
    speedup_over_default: float | None,
) -> JobWorkload:
    workload = parse_workload(document)
    best_latency_us = published_latency_us or row.best_latency_us
    return JobWorkload(
        workload_id=row.workload_id,
        name=workload.name,
        workload=workload,
        occurrences=row.occurrences,
        state=WorkloadState(row.state),
        trials=row.trials,
        failed_trials=row.failed_trials,
        seconds=row.seconds,
        best_latency_us=best_latency_us,
        best_gmacs=gmacs(workload, best_latency_us) if best_latency_us else None,
        share_of_peak=share_of_peak,
        speedup_over_default=speedup_over_default,
        schedule_id=row.schedule_id,
        stop_reason=row.stop_reason,
        known_from_job=row.known_from_job,
    )
