"""What need not be tuned again: workloads that a job before has tuned for the same target, with at least this budget.

Whatever became of that job: where the search of a workload ended by itself, it had its budget.
"""

from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, or_, select, true, update
from sqlalchemy.orm import Session, aliased

from tilewright.contract.events import WorkloadDoneEvent
from tilewright.contract.jobs import WorkloadState
from tilewright_service.store.endings import settle_job
from tilewright_service.store.events import tell_workloads
from tilewright_service.store.tables import JobRow, JobWorkloadRow, ScheduleRow

KNOWN = "known"
"""Why the search of such a workload ended: there was none."""

NOT_FOR_SECONDS = ("trials", "plateau", "exhausted")
"""Searches that end so would have ended so with more seconds, too."""


class Known(NamedTuple):
    job_id: int
    schedule_id: int


def settle_known(session: Session, job: JobRow) -> None:
    """What is known of the workloads that wait is done, and a job of which nothing is left ends. A few questions."""
    known = find_known(session, job)
    if known:
        settle(session, job, known)


def settle(session: Session, job: JobRow, known: dict[str, Known]) -> None:
    session.execute(update(JobWorkloadRow), [_done(job, workload_id, known[workload_id]) for workload_id in known])
    session.expire_all()
    tell_workloads(session, job.id, list(known), WorkloadDoneEvent)
    settle_job(session, job)


def covers_seconds(has_limit: bool) -> ColumnElement[bool]:
    """Whether a job had no limit for each workload or, where `has_limit`, one of at least the parameter `seconds`."""
    unlimited = JobRow.seconds.is_(None)
    return or_(unlimited, JobRow.seconds >= bindparam("seconds")) if has_limit else unlimited


def _done(job: JobRow, workload_id: str, known: Known) -> dict[str, object]:
    return {
        "job_id": job.id,
        "workload_id": workload_id,
        "state": WorkloadState.DONE,
        "stop_reason": KNOWN,
        "known_from_job": known.job_id,
        "schedule_id": known.schedule_id,
    }


def find_known(session: Session, job: JobRow) -> dict[str, Known]:
    """Of each workload that waits: the fastest current schedule for which a job has done what this one asks for."""
    statement = _known(job.target != "auto", bool(job.host_class), job.seconds is not None)
    asked = {
        "job": job.id,
        "threads": job.threads,
        "target": job.target,
        "host_class": job.host_class,
        "trials": job.trials,
        "version": job.version,
        "seconds": job.seconds,
    }
    session.flush()
    found = session.connection().execute(statement, asked)
    return {workload_id: Known(job_id, id) for workload_id, id, job_id in found if job_id is not None}


@cache
def _known(is_for_target: bool, is_for_class: bool, has_limit: bool) -> Select[Any]:
    """The slowest schedule first, so that the fastest has the last word."""
    waiting, current, tuned_by = aliased(JobWorkloadRow), aliased(ScheduleRow), aliased(ScheduleRow)
    seconds = or_(covers_seconds(has_limit), JobWorkloadRow.stop_reason.in_(NOT_FOR_SECONDS))
    job = (
        select(JobWorkloadRow.job_id)
        .join(JobRow, JobRow.id == JobWorkloadRow.job_id)
        .join(tuned_by, tuned_by.id == JobWorkloadRow.schedule_id)
        .where(
            JobWorkloadRow.workload_id == current.workload_id,
            JobWorkloadRow.schedule_id.is_not(None),
            JobWorkloadRow.seconds.is_not(None),
            tuned_by.isa == current.isa,
            tuned_by.host_class == current.host_class,
            JobRow.threads == bindparam("threads"),
            JobRow.target.in_(["auto", bindparam("target")]),
            JobRow.trials >= bindparam("trials"),
            JobRow.version == bindparam("version"),
            seconds,
        )
        .order_by(JobWorkloadRow.job_id.desc())
        .limit(1)
        .correlate(current)
        .scalar_subquery()
    )
    return (
        select(current.workload_id, current.id, job)
        .join(waiting, waiting.workload_id == current.workload_id)
        .where(
            waiting.job_id == bindparam("job"),
            waiting.state == WorkloadState.QUEUED,
            current.threads == bindparam("threads"),
            current.is_current,
            current.isa == bindparam("target") if is_for_target else true(),
            current.host_class == bindparam("host_class") if is_for_class else true(),
        )
        .order_by(current.latency_us.desc())
    )
