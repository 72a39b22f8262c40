"""What a job waits for, in words, as it is when somebody asks."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Select, String, bindparam, cast, func, select
from sqlalchemy.orm import Session, aliased

from tilewright.contract.jobs import JobState
from tilewright.contract.workers import AttemptKey, Worker, WorkerState
from tilewright.job_names import job_names
from tilewright_service.store.lanes import Lane, WorkerFacts, lane_of, lanes
from tilewright_service.store.tables import LANE, AttemptRow, JobRow

FRONT = 100
"""So many jobs of the queue are counted."""
LOOKED_AT_ONCE = 16
"""Lines, by one question."""

WORKING = (WorkerState.IDLE, WorkerState.RUNNING, WorkerState.BUSY)


@dataclass(frozen=True)
class Capacity:
    """The workers that there are."""

    workers: tuple[Worker, ...] = ()
    away: str | None = None
    """Why they cannot be reached, to a person."""

    @property
    def team(self) -> list[WorkerFacts]:
        """Those that take work, now or when they have done theirs."""
        return [facts_of(each) for each in self.workers if each.state in (WorkerState.IDLE, WorkerState.RUNNING)]

    def with_taken(self, name: str, key: AttemptKey) -> "Capacity":
        """As it is once this worker has an attempt."""
        running = {"state": WorkerState.RUNNING, "running": key}
        workers = (each.model_copy(update=running) if each.name == name else each for each in self.workers)
        return Capacity(tuple(workers), self.away)

    def facts(self, name: str) -> WorkerFacts | None:
        """Of a worker by its name."""
        return next((facts_of(each) for each in self.workers if each.name == name), None)


def facts_of(worker: Worker) -> WorkerFacts:
    return WorkerFacts(worker.name, worker.hostname, worker.host_class or "", worker.isas, worker.cores)


def explain_waiting(session: Session, jobs: Sequence[JobRow], capacity: Capacity | None) -> dict[int, str]:
    """By job; what does not wait is not in it. A few questions, however many jobs; `capacity` is None where unknown."""
    open_jobs = [job for job in jobs if not JobState(job.state).is_final]
    if not open_jobs:
        return {}
    queue = Queue(session)
    reasons = {job.id: _reason(job, queue, capacity) for job in open_jobs}
    return {job_id: reason for job_id, reason in reasons.items() if reason is not None}


class Queue:
    """What is in the way of jobs; asked for when it matters, and once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._fronts: dict[int, Sequence[int]] = {}
        """Of lines, by the first job."""

    @cached_property
    def running(self) -> dict[int, bool]:
        """Jobs that have a worker, and whether an attempt of theirs has started."""
        running: dict[int, bool] = {}
        for job_id, started_at in self._session.execute(OPEN_ATTEMPTS):
            running[job_id] = running.get(job_id, False) or started_at is not None
        return running

    @cached_property
    def _lanes(self) -> list[Lane]:
        return lanes(self._session)

    def jobs_before(self, job: JobRow, workers: Sequence[WorkerFacts]) -> int:
        """Of a higher priority, or older: those that want a worker which this one could have, too."""
        before = 0
        ahead = [each for each in self._lanes if _is_ahead(each, job) and (not workers or any(map(each.fits, workers)))]
        while ahead and before < FRONT:
            some, ahead = ahead[:LOOKED_AT_ONCE], ahead[LOOKED_AT_ONCE:]
            for lane, front in zip(some, self._fronts_of(some), strict=True):
                before += len(front) if lane.priority > job.priority else bisect_left(front, job.id)
        return min(before, FRONT)

    def _fronts_of(self, some: Sequence[Lane]) -> list[Sequence[int]]:
        """The first jobs of each line, asked for once, however many wait behind them."""
        new = [lane.first_job for lane in some if lane.first_job not in self._fronts]
        for head, front in self._session.execute(FRONTS, {"heads": new}) if new else ():
            self._fronts[head] = sorted(map(int, front.split(",")))
        return [self._fronts[lane.first_job] for lane in some]


def _fronts() -> Select[int, str]:
    head = aliased(JobRow)
    alike = (getattr(JobRow, name) == getattr(head, name) for name in LANE)
    first = select(JobRow.id).where(JobRow.wants_worker, *alike).order_by(JobRow.id).limit(FRONT).correlate(head)
    ids = select(func.aggregate_strings(cast(first.subquery().c.id, String), ",")).correlate(head).scalar_subquery()
    return select(head.id, ids).where(head.id.in_(bindparam("heads", expanding=True)))


FRONTS = _fronts()
OPEN_ATTEMPTS = select(AttemptRow.job_id, AttemptRow.started_at).where(AttemptRow.is_open)


def _is_ahead(lane: Lane, job: JobRow) -> bool:
    """Whether a job of this line goes before."""
    return lane.priority > job.priority or (lane.priority == job.priority and lane.first_job < job.id)


def _reason(job: JobRow, queue: Queue, capacity: Capacity | None) -> str | None:
    if job.attempt and job.id in queue.running:
        return None if queue.running[job.id] else "a worker is being made ready"
    waits = f"it waits: {_obstacle(job, queue, capacity)}"
    return waits if job.reason is None else f"{waits}; its last attempt ended: {job.reason}"


def _obstacle(job: JobRow, queue: Queue, capacity: Capacity | None) -> str:
    if capacity is None:
        return "a worker is being looked for"
    if capacity.away is not None:
        return capacity.away
    working = [facts_of(each) for each in capacity.workers if each.state in WORKING]
    fitting = [each for each in working if lane_of(job).fits(each)]
    if not fitting:
        return _shortage(job, capacity, working)
    if before := queue.jobs_before(job, fitting):
        return _turn(before)
    idle = {each.name for each in capacity.workers if each.state is WorkerState.IDLE}
    if any(each.name in idle for each in fitting):
        return "a worker is being made ready"
    if queue.running:
        running = sorted(queue.running)
        return f"{job_names(running)} {'is' if len(running) == 1 else 'are'} running"
    return "no worker is free"


def _shortage(job: JobRow, capacity: Capacity, working: Sequence[WorkerFacts]) -> str:
    """What is missing, of all that it needs."""
    if not capacity.workers:
        return "no worker has joined yet"
    if not working:
        worst = capacity.workers[0]
        return f"no worker can work: {worst.name} is {_words(worst.state)}" + (
            f" ({worst.reason})" if worst.reason else ""
        )
    cores = max(each.cores for each in working)
    if job.threads > cores:
        return f"it asks for more threads than the {cores} cores of the largest worker"
    isas = sorted({isa for each in working for isa in each.isas})
    if job.target not in ("auto", *isas):
        return f"no worker has {job.target}; there are {', '.join(isas)}"
    classes = sorted({each.host_class for each in working})
    if job.host_class and job.host_class not in classes:
        return f"no worker is of the host class {job.host_class}; there are {', '.join(classes)}"
    return "no worker has all that it asks for: threads, target and host class"


def _words(state: WorkerState) -> str:
    return state.value.replace("_", " ")


def _turn(before: int) -> str:
    if before == 1:
        return "1 job is before it"
    return f"{'at least ' if before == FRONT else ''}{before} jobs are before it"
