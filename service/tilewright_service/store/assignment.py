"""Which workload an attempt takes next, and when it leaves its worker to somebody else."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import case, select
from sqlalchemy.orm import Session, aliased

from tilewright.contract.attempts import Assignment, BriefedWorkload
from tilewright.contract.events import WorkloadStartedEvent
from tilewright.contract.jobs import JobState, WorkloadState
from tilewright.contract.workers import AttemptKey
from tilewright_service.store.ailing import set_aside_hosts
from tilewright_service.store.authority import require_authority
from tilewright_service.store.blame import held_workload
from tilewright_service.store.demand import has_just_failed_on, is_queued, note_demand
from tilewright_service.store.endings import settle_job
from tilewright_service.store.events import tell_workloads
from tilewright_service.store.instant import now
from tilewright_service.store.known import settle_known
from tilewright_service.store.lanes import Lane, Order, WorkerFacts, lane_of, lanes
from tilewright_service.store.tables import AttemptRow, JobRow, JobWorkloadRow, WorkloadRow
from tilewright_service.store.waiting import Capacity
from tilewright_service.store.workloads import parse_workload

TURN_SECONDS = 30.0
"""So long somebody has a worker at least while others of the same priority wait; what is begun then is finished."""


def assign_workload(session: Session, key: AttemptKey, capacity: Capacity | None) -> Assignment:
    """The workload that the attempt has, or the next one of its job; none when it should end."""
    attempt, job = require_authority(session, key)
    attempt.beats += 1
    capacity = capacity or Capacity()
    row = held_workload(session, attempt)
    if row is None and _may_go_on(session, attempt, job, capacity.facts(attempt.worker)):
        settle_known(session, job)
        row = _next_workload(session, attempt, job, lane_of(job).other_hosts(capacity.team, attempt.hostname))
        if row is not None:
            _take(session, attempt, job, row)
    return Assignment(workload=None if row is None else _briefed(session, job, row))


def _may_go_on(session: Session, attempt: AttemptRow, job: JobRow, worker: WorkerFacts | None) -> bool:
    if JobState(job.state).is_final or job.cancel_requested_at is not None:
        return False
    if attempt.hostname in set_aside_hosts(session):
        return False
    return worker is None or not attempt.has_taken or not _is_turn_of_others(session, attempt, job, worker)


def _is_turn_of_others(session: Session, attempt: AttemptRow, job: JobRow, worker: WorkerFacts) -> bool:
    order = Order.of(session)
    others = [lane for lane in lanes(session) if lane.fits(worker)]
    return any(_goes_before(order, lane, attempt, job) for lane in others)


def _goes_before(order: Order, lane: Lane, attempt: AttemptRow, job: JobRow) -> bool:
    """A higher priority does, at once; of equals, who has fewer workers, and after a while who has as many."""
    if lane.priority != job.priority or lane.submitter == job.submitter:
        return lane.priority > job.priority
    surplus = order.workers_of[job.submitter] - order.workers_of[lane.submitter]
    return surplus > 1 or (surplus == 1 and not _is_in_turn(attempt))


def _is_in_turn(attempt: AttemptRow) -> bool:
    """A clock that was put back, or another service's, makes no turn longer."""
    return timedelta(0) <= now() - attempt.launched_at <= timedelta(seconds=TURN_SECONDS)


def _next_workload(
    session: Session, attempt: AttemptRow, job: JobRow, other_hosts: Collection[str]
) -> JobWorkloadRow | None:
    """In the order of the job; last what other jobs are at, whose records will help, and what has just failed here."""
    under_way = aliased(JobWorkloadRow)
    elsewhere = select(under_way.workload_id).where(
        under_way.state == WorkloadState.RUNNING, under_way.job_id != job.id
    )
    failed_here = has_just_failed_on(attempt.hostname)
    question = select(JobWorkloadRow).where(is_queued(job.id))
    if other_hosts:
        question = question.where(~failed_here)
    last = case((failed_here, 2), (JobWorkloadRow.workload_id.in_(elsewhere), 1), else_=0)
    return session.scalar(question.order_by(last, JobWorkloadRow.position).limit(1))


def _take(session: Session, attempt: AttemptRow, job: JobRow, row: JobWorkloadRow) -> None:
    row.state = WorkloadState.RUNNING
    row.attempt = attempt.number
    attempt.has_taken = True
    attempt.stored_records = 0
    note_demand(session, job)
    tell_workloads(session, job.id, [row.workload_id], WorkloadStartedEvent)
    settle_job(session, job)


def _briefed(session: Session, job: JobRow, row: JobWorkloadRow) -> BriefedWorkload:
    document = session.get_one(WorkloadRow, row.workload_id).document
    trials = max(job.trials - row.trials, 0)
    return BriefedWorkload(workload=parse_workload(document), trials=trials, seconds=job.seconds)
