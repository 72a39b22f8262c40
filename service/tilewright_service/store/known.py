"""What need not be tuned again: workloads that a job before has tuned for the same target, with at least this budget.

Whatever became of that job: where the search of a workload ended by itself, it had its budget.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, or_, select, true, update
from sqlalchemy.orm import Session, aliased

from tilewright.contract.events import WorkloadDoneEvent
from tilewright.contract.jobs import WorkloadState
from tilewright_service.store.demand import is_queued
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
    waiting = session.scalars(select(JobWorkloadRow.workload_id).where(is_queued(job.id))).all()
    known = _find_known(session, job, waiting)
    if known:
        session.execute(update(JobWorkloadRow), [_done(job, workload_id, known[workload_id]) for workload_id in known])
        session.expire_all()
        tell_workloads(session, job.id, list(known), WorkloadDoneEvent)
        settle_job(session, job)


def covers_seconds(asked: float | None) -> ColumnElement[bool]:
    """Whether a job was given at least so long for each workload; None is without a limit."""
    unlimited = JobRow.seconds.is_(None)
    return unlimited if asked is None else or_(unlimited, JobRow.seconds >= asked)


def _done(job: JobRow, workload_id: str, known: Known) -> dict[str, object]:
    return {
        "job_id": job.id,
        "workload_id": workload_id,
        "state": WorkloadState.DONE,
        "stop_reason": KNOWN,
        "known_from_job": known.job_id,
        "schedule_id": known.schedule_id,
    }


def _find_known(session: Session, job: JobRow, workload_ids: Sequence[str]) -> dict[str, Known]:
    """The fastest current schedule of each workload for which a job has done what this one asks for."""
    current = aliased(ScheduleRow)
    tuned_by = (
        select(JobWorkloadRow.job_id)
        .join(JobRow, JobRow.id == JobWorkloadRow.job_id)
        .join(ScheduleRow, ScheduleRow.id == JobWorkloadRow.schedule_id)
        .where(
            JobWorkloadRow.workload_id == current.workload_id,
            JobWorkloadRow.schedule_id.is_not(None),
            JobWorkloadRow.seconds.is_not(None),
            ScheduleRow.isa == current.isa,
            ScheduleRow.host_class == current.host_class,
            _covers(job),
        )
        .order_by(JobWorkloadRow.job_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    question = select(current.workload_id, current.id, tuned_by).where(
        current.workload_id.in_(workload_ids),
        current.threads == job.threads,
        current.is_current,
        true() if job.target == "auto" else current.isa == job.target,
        true() if not job.host_class else current.host_class == job.host_class,
    )
    # The slowest first, so that the fastest has the last word.
    found = session.execute(question.order_by(current.latency_us.desc()))
    return {workload_id: Known(job_id, id) for workload_id, id, job_id in found if job_id is not None}


def _covers(asked: JobRow) -> ColumnElement[bool]:
    """Whether a job whose row and workload a question holds had target, budget and version of this one."""
    seconds = or_(covers_seconds(asked.seconds), JobWorkloadRow.stop_reason.in_(NOT_FOR_SECONDS))
    targets = {"auto", asked.target}
    return and_(
        JobRow.threads == asked.threads,
        JobRow.target.in_(targets),
        JobRow.trials >= asked.trials,
        JobRow.version == asked.version,
        seconds,
    )
