"""What a job waits for, in words, as it is when somebody asks."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from tilewright.contract.jobs import JobState
from tilewright_service.store.tables import AttemptRow, JobRow

FRONT = 100
"""So many jobs of the queue are counted."""

NAMED = 3
"""So many running jobs are named."""


@dataclass(frozen=True)
class Capacity:
    """What the workers have room for."""

    cores: int
    """Of the largest worker; 0 when there is none."""
    free_cores: int
    """Of the largest one that has nothing to do."""


@dataclass(frozen=True)
class Queue:
    """What is in the way of a job."""

    front: list[int]
    """Jobs that wait, the next one first."""
    running: dict[int, bool]
    """Jobs that have a worker, and whether their attempt has started."""

    def jobs_before(self, job_id: int) -> int:
        return self.front.index(job_id) if job_id in self.front else len(self.front)


def explain_waiting(session: Session, jobs: Sequence[JobRow], capacity: Capacity | None) -> dict[int, str]:
    """By job; what does not wait is not in it. Two questions, however many jobs; `capacity` is None where unknown."""
    open_jobs = [job for job in jobs if not JobState(job.state).is_final]
    if not open_jobs:
        return {}
    queue = Queue(_front(session, capacity), _running(session))
    reasons = {job.id: _reason(job, queue, capacity) for job in open_jobs}
    return {job_id: reason for job_id, reason in reasons.items() if reason is not None}


def _front(session: Session, capacity: Capacity | None) -> list[int]:
    question = select(JobRow.id).where(JobRow.state == JobState.QUEUED)
    if capacity is not None:
        question = question.where(JobRow.threads <= capacity.cores)
    return list(session.scalars(question.order_by(JobRow.priority.desc(), JobRow.id).limit(FRONT)))


def _running(session: Session) -> dict[int, bool]:
    rows = session.execute(select(AttemptRow.job_id, AttemptRow.started_at).where(AttemptRow.is_open))
    return {job_id: started_at is not None for job_id, started_at in rows}


def _reason(job: JobRow, queue: Queue, capacity: Capacity | None) -> str | None:
    if job.state == JobState.RUNNING:
        return None if queue.running.get(job.id, True) else "a worker is being made ready"
    waits = f"it waits: {_obstacle(job, queue, capacity)}"
    return waits if job.reason is None else f"{waits}; its last attempt ended: {job.reason}"


def _obstacle(job: JobRow, queue: Queue, capacity: Capacity | None) -> str:
    if capacity is not None and job.threads > capacity.cores:
        return _shortage(capacity.cores)
    if before := queue.jobs_before(job.id):
        return _turn(before)
    if capacity is not None and job.threads <= capacity.free_cores:
        return "a worker is being made ready"
    if queue.running:
        return _busy(sorted(queue.running))
    return "a worker is being looked for" if capacity is None else "no worker is free"


def _shortage(cores: int) -> str:
    if cores == 0:
        return "no worker has joined yet"
    return f"it asks for more threads than the {cores} cores of the largest worker"


def _turn(before: int) -> str:
    if before == 1:
        return "1 job is before it"
    return f"{'at least ' if before == FRONT else ''}{before} jobs are before it"


def _busy(running: list[int]) -> str:
    if len(running) == 1:
        return f"job {running[0]} is running"
    if len(running) > NAMED:
        return f"{len(running)} jobs are running"
    *others, last = running
    return f"jobs {', '.join(map(str, others))} and {last} are running"
