"""How far jobs are, counted by the database."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Float, Select, and_, bindparam, case, cast, func, select
from sqlalchemy.orm import Session

from tilewright.contract.jobs import JobState, Progress, WorkloadState
from tilewright.contract.workload import Workload
from tilewright_service.store.instant import now
from tilewright_service.store.tables import JobRow, JobWorkloadRow
from tilewright_service.store.workloads import gmacs

FINALS_SECONDS = 3.0
"""What comes after the search of a workload, which its budget does not count."""


class Tally(NamedTuple):
    """Of the workloads of one job."""

    workloads: int = 0
    done: int = 0
    failed: int = 0
    trials: int = 0
    trials_left: int = 0
    searched: int = 0
    """Done after trials of this job."""
    begun: float = 0.0
    """Workloads that are not done, each by the share of its trials that it has had."""
    trials_of_open: int = 0


def tally_workloads(session: Session, job_ids: Sequence[int]) -> dict[int, Tally]:
    found = {job_id: Tally(*counts) for job_id, *counts in session.execute(TALLIES, {"job_ids": job_ids})}
    return {job_id: found.get(job_id, Tally()) for job_id in job_ids}


def progress_fields(
    row: Any,
    workload: Workload,
    published_latency_us: float | None,
    share_of_peak: float | None,
    speedup_over_default: float | None,
) -> dict[str, Any]:
    """Of a `WorkloadProgress`; the row has the columns of `JobWorkloadRow`, the rest is its schedule's."""
    best_latency_us = published_latency_us or row.best_latency_us
    return {
        "workload_id": row.workload_id,
        "name": workload.name,
        "occurrences": row.occurrences,
        "state": WorkloadState(row.state),
        "trials": row.trials,
        "failed_trials": row.failed_trials,
        "seconds": row.seconds,
        "best_latency_us": best_latency_us,
        "best_gmacs": gmacs(workload, best_latency_us) if best_latency_us else None,
        "share_of_peak": share_of_peak,
        "speedup_over_default": speedup_over_default,
        "schedule_id": row.schedule_id,
        "stop_reason": row.stop_reason,
        "known_from_job": row.known_from_job,
        "attempt": row.attempt,
        "tries": row.tries,
        "reason": row.reason,
    }


def progress_of(job: JobRow, tally: Tally) -> Progress:
    return Progress(
        workloads=tally.workloads,
        workloads_done=tally.done,
        workloads_failed=tally.failed,
        trials=tally.trials,
        trials_planned=tally.trials + tally.trials_left,
        seconds_left=_seconds_left(job, tally),
    )


def _seconds_left(job: JobRow, tally: Tally) -> float | None:
    """At the pace of the workloads that are done; before the first is, at that of the trials."""
    if JobState(job.state).is_final:
        return 0.0
    if job.started_at is None:
        return None
    elapsed = max((now() - job.started_at).total_seconds(), 0.0)
    still_open = tally.workloads - tally.done - tally.failed
    if tally.searched:
        return elapsed / (tally.searched + tally.begun) * (still_open - tally.begun)
    if not tally.trials_of_open:
        return None
    estimate = elapsed / tally.trials_of_open * tally.trials_left
    return estimate if job.seconds is None else min(estimate, (job.seconds + FINALS_SECONDS) * still_open)


def _sum(condition: ColumnElement[bool], value: object) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, value), else_=0)), 0)


def _tallies() -> Select[int, int, int, int, int, int, int, int, int]:
    row, trials = JobWorkloadRow, JobWorkloadRow.trials
    is_open = row.state.in_([WorkloadState.QUEUED, WorkloadState.RUNNING])
    is_done = row.state == WorkloadState.DONE
    return (
        select(
            row.job_id,
            func.count(),
            _sum(is_done, 1),
            _sum(row.state == WorkloadState.FAILED, 1),
            func.sum(trials),
            _sum(and_(is_open, JobRow.trials > trials), JobRow.trials - trials),
            _sum(and_(is_done, trials > 0), 1),
            _sum(is_open, case((trials < JobRow.trials, cast(trials, Float) / JobRow.trials), else_=1.0)),
            _sum(is_open, trials),
        )
        .join(JobRow, JobRow.id == row.job_id)
        .where(row.job_id.in_(bindparam("job_ids", expanding=True)))
        .group_by(row.job_id)
    )


TALLIES = _tallies()
