"""What a job waits for, in words, as it is when somebody asks."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tilewright.contract.jobs import JobState
from tilewright.contract.workers import AttemptKey, Worker, WorkerState
from tilewright.job_names import job_names
from tilewright_service.store.lanes import Lane, WorkerFacts, lane_of, lanes, waits_in
from tilewright_service.store.tables import AttemptRow, JobRow

FRONT = 100
"""So many jobs of the queue are counted."""

WORKING = (WorkerState.IDLE, WorkerState.RUNNING, WorkerState.BUSY)


@dataclass(frozen=True)
class Capacity:
    """The workers that there are."""

    workers: tuple[Worker, ...] = ()
    away: str | None = None
    """Why they cannot be reached, to a person."""

    @property
    def hosts(self) -> set[str]:
        """Those that work."""
        return {each.hostname for each in self.workers if each.state in WORKING}

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
    """What is in the way of jobs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lanes = list(lanes(session))
        rows = session.execute(select(AttemptRow.job_id, AttemptRow.started_at).where(AttemptRow.is_open))
        self.running: dict[int, bool] = {}
        """Jobs that have a worker, and whether an attempt of theirs has started."""
        for job_id, started_at in rows:
            self.running[job_id] = self.running.get(job_id, False) or started_at is not None

    def jobs_before(self, job: JobRow, workers: Sequence[WorkerFacts]) -> int:
        """Of a higher priority, or older: those that want a worker which this one could have, too."""
        rivals = [lane for lane in self._lanes if not workers or any(lane.fits(worker) for worker in workers)]
        before = 0
        for lane in rivals:
            if lane.priority >= job.priority and before < FRONT:
                before += self._count(lane, job, FRONT - before)
        return before

    def _count(self, lane: Lane, job: JobRow, limit: int) -> int:
        waits = waits_in(lane) if lane.priority > job.priority else waits_in(lane) & (JobRow.id < job.id)
        found = select(JobRow.id).where(waits).limit(limit).subquery()
        return self._session.scalar(select(func.count()).select_from(found)) or 0


def _reason(job: JobRow, queue: Queue, capacity: Capacity | None) -> str | None:
    if job.id in queue.running:
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
