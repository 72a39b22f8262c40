"""Jobs as people see them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Select, bindparam, func, select
from sqlalchemy.orm import Session

from tilewright.contract.jobs import Job, JobState, JobSummary, JobWorkload
from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest, NotFound
from tilewright_service.store.interests import NOBODY, owners
from tilewright_service.store.progress import Tally, progress_fields, progress_of, tally_workloads
from tilewright_service.store.tables import FOR_CHANGE, AttemptRow, JobRow, JobWorkloadRow, ScheduleRow, WorkloadRow
from tilewright_service.store.waiting import Capacity, explain_waiting
from tilewright_service.store.workloads import parse_workload


class NewJob(NamedTuple):
    """A job as this transaction has written it; nobody else has seen it."""

    row: JobRow
    workloads: list[tuple[JobWorkloadRow, Workload]]


class Facts(NamedTuple):
    """What other tables have of a job."""

    owners: list[str]
    tally: Tally
    attempts_open: int
    first_workload: str | None


def get_job(session: Session, job_id: int, capacity: Capacity | None) -> Job:
    (summary,) = _as_summaries(session, [job_row(session, job_id)], capacity)
    rows = session.execute(WORKLOADS, {"job_id": job_id})
    workloads = [_as_job_workload(row, parse_workload(document), *best) for row, document, *best in rows]
    return Job(**dict(summary), workloads=workloads)


def new_job(session: Session, made: NewJob, capacity: Capacity | None) -> Job:
    """As `get_job` would find it: only what it waits for is asked."""
    job, count = made.row, len(made.workloads)
    facts = Facts(
        owners=[] if job.submitter == NOBODY else [job.submitter],
        tally=Tally(workloads=count, trials_left=count * job.trials),
        attempts_open=0,
        first_workload=made.workloads[0][1].name,
    )
    summary = _as_summary(job, facts, explain_waiting(session, [job], capacity).get(job.id))
    return Job(**dict(summary), workloads=[_as_job_workload(row, workload) for row, workload in made.workloads])


def job_page(
    session: Session, state: JobState | None, before_id: int | None, limit: int, capacity: Capacity | None
) -> list[JobSummary]:
    """Newest first, without their workloads."""
    question = select(JobRow).order_by(JobRow.id.desc()).limit(limit)
    if state is not None:
        question = question.where(JobRow.state == state)
    if before_id is not None:
        question = question.where(JobRow.id < before_id)
    return _as_summaries(session, session.scalars(question).all(), capacity)


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
    which = {"job_id": job_id, "workload_ids": workload_ids}
    rows = session.execute(SOME_WORKLOADS, which)
    return [_as_job_workload(row, parse_workload(document), *best) for row, document, *best in rows]


def job_workload_row(session: Session, job_id: int, workload_id: str) -> JobWorkloadRow:
    """Raises InvalidRequest."""
    row = session.get(JobWorkloadRow, (job_id, workload_id))
    if row is None:
        raise InvalidRequest(f"workload {workload_id} is not part of job {job_id}")
    return row


def _as_summaries(session: Session, jobs: Sequence[JobRow], capacity: Capacity | None) -> list[JobSummary]:
    """A few questions, however many jobs."""
    job_ids = [job.id for job in jobs]
    waiting = explain_waiting(session, jobs, capacity)
    wanted_by, tallies, at_it, first = (
        owners(session, job_ids),
        tally_workloads(session, job_ids),
        _open_attempts(session, job_ids),
        _first_workloads(session, job_ids),
    )
    facts = [Facts(wanted_by.get(each, []), tallies[each], at_it.get(each, 0), first.get(each)) for each in job_ids]
    return [_as_summary(job, its, waiting.get(job.id, job.reason)) for job, its in zip(jobs, facts, strict=True)]


def _as_summary(job: JobRow, facts: Facts, reason: str | None) -> JobSummary:
    return JobSummary(
        id=job.id,
        state=JobState(job.state),
        reason=reason,
        network=job.network,
        first_workload=facts.first_workload,
        target=job.target,
        threads=job.threads,
        host_class=job.host_class or None,
        trials=job.trials,
        seconds=job.seconds,
        priority=job.priority,
        owners=facts.owners,
        attempt=job.attempt,
        attempts_open=facts.attempts_open,
        cancel_requested=job.cancel_requested_at is not None,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        progress=progress_of(job, facts.tally),
    )


def _open_attempts(session: Session, job_ids: Sequence[int]) -> dict[int, int]:
    return dict(session.execute(OPEN_ATTEMPTS, {"job_ids": job_ids}).all())


def _first_workloads(session: Session, job_ids: Sequence[int]) -> dict[int, str]:
    """Their names, by job."""
    rows = session.execute(FIRST_WORKLOADS, {"job_ids": job_ids})
    return {job_id: parse_workload(document).name for job_id, document in rows}


def _workloads() -> Select[Any, Any, Any, Any, Any]:
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
        .where(JobWorkloadRow.job_id == bindparam("job_id"))
        .order_by(JobWorkloadRow.position)
    )


JOBS: BindParameter[int] = bindparam("job_ids", expanding=True)
WORKLOADS = _workloads()
SOME_WORKLOADS = WORKLOADS.where(JobWorkloadRow.workload_id.in_(bindparam("workload_ids", expanding=True)))
OPEN_ATTEMPTS = (
    select(AttemptRow.job_id, func.count())
    .where(AttemptRow.is_open, AttemptRow.job_id.in_(JOBS))
    .group_by(AttemptRow.job_id)
)
FIRST_WORKLOADS = (
    select(JobWorkloadRow.job_id, WorkloadRow.document)
    .join(WorkloadRow, WorkloadRow.id == JobWorkloadRow.workload_id)
    .where(JobWorkloadRow.job_id.in_(JOBS), JobWorkloadRow.position == 0)
)


def _as_job_workload(
    row: JobWorkloadRow,
    workload: Workload,
    published_latency_us: float | None = None,
    share_of_peak: float | None = None,
    speedup_over_default: float | None = None,
) -> JobWorkload:
    fields = progress_fields(row, workload, published_latency_us, share_of_peak, speedup_over_default)
    return JobWorkload(workload=workload, **fields)
