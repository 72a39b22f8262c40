"""Who is next: a job and a worker for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from tilewright.contract.jobs import JobState
from tilewright_service.store.authority import new_token, token_digest
from tilewright_service.store.demand import has_just_failed_on, is_queued, note_demand
from tilewright_service.store.instant import now
from tilewright_service.store.known import settle_known
from tilewright_service.store.lanes import WAITS_IN_LANE, Lane, Order, WorkerFacts, lane_of, lanes
from tilewright_service.store.tables import AttemptRow, JobRow, JobWorkloadRow, TurnRow
from tilewright_service.store.upsert import insert

LOOKED_AT_ONCE = 32
"""So many jobs of a line at most are found to be known, or for other hosts, in one transaction."""


@dataclass(frozen=True)
class Claim:
    """A new attempt, and the worker that it has."""

    job_id: int
    attempt: int
    token: str
    threads: int
    worker: str


def claim_next(session: Session, free: Sequence[WorkerFacts], team: Sequence[WorkerFacts]) -> Claim | None:
    """Give the next job a worker: by priority, then whose turn it is, then age. None when nobody can have one.

    A job that no free worker fits is passed by others. One that is known by now, all of it, finishes here. `team` are
    all workers that take work: who failed at a workload gets it again only where no other host could.
    """
    for lane in Order.of(session).sort(lanes(session)):
        fitting = [worker for worker in free if lane.fits(worker)]
        for job in islice(_jobs_of(session, lane), LOOKED_AT_ONCE if fitting else 0):
            settle_known(session, job)
            if job.wants_worker and (worker := _choose(session, job, fitting, team)) is not None:
                return _claim(session, job, worker)
    return None


FOLLOWING = (
    select(JobRow)
    .where(WAITS_IN_LANE, JobRow.id > bindparam("last_id"))
    .order_by(JobRow.id)
    .limit(1)
    .with_for_update(skip_locked=True, key_share=True)
)


def _jobs_of(session: Session, lane: Lane) -> Iterator[JobRow]:
    """The jobs of a line, the oldest first, each locked; one that somebody else holds is passed over for now."""
    last_id = 0
    while True:
        job = session.scalar(FOLLOWING, {**lane.parameters, "last_id": last_id})
        if job is None:
            return
        last_id = job.id
        yield job


def _choose(
    session: Session, job: JobRow, fitting: Sequence[WorkerFacts], team: Sequence[WorkerFacts]
) -> WorkerFacts | None:
    """The smallest one, so that large jobs find large ones free."""
    for worker in sorted(fitting, key=lambda each: each.cores):
        if not lane_of(job).other_hosts(team, worker.hostname) or _has_work_for(session, job.id, worker.hostname):
            return worker
    return None


def _has_work_for(session: Session, job_id: int, hostname: str) -> bool:
    """Whether a workload waits that has not just failed there."""
    question = select(JobWorkloadRow.position).where(is_queued(job_id), ~has_just_failed_on(hostname)).limit(1)
    return session.scalar(question) is not None


def _claim(session: Session, job: JobRow, worker: WorkerFacts) -> Claim:
    job.state = JobState.RUNNING
    job.reason = None
    job.attempt += 1
    token = new_token()
    session.add(
        AttemptRow(
            job_id=job.id,
            number=job.attempt,
            token_sha256=token_digest(token),
            worker=worker.name,
            hostname=worker.hostname,
            host_class=worker.host_class,
            isa=worker.isas[0] if job.target == "auto" else job.target,
            is_open=True,
            launched_at=now(),
        )
    )
    _take_turn(session, job.submitter)
    note_demand(session, job)
    return Claim(job.id, job.attempt, token, job.threads, worker.name)


def _take_turn(session: Session, submitter: str) -> None:
    latest = session.scalar(select(func.max(TurnRow.taken_at))) or 0
    turn = insert(session, TurnRow.__table__)
    turn = turn.on_conflict_do_update(index_elements=["submitter"], set_={"taken_at": turn.excluded.taken_at})
    session.execute(turn, {"submitter": submitter, "taken_at": latest + 1})
