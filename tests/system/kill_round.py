"""One round of cruelty: a job of 40 trials, kill -9 at some instants, and what has to hold afterwards."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tilewright.contract.jobs import Job, JobState
from tilewright.contract.records import Record
from tilewright.contract.workload import Workload

from .examples import dense, depthwise
from .tuning_service import TuningService

TRIALS = 20
"""For each of two workloads: too few for a plateau, so that a job is exactly 40 trials."""

END_SECONDS = 240


@dataclass(frozen=True)
class Strike:
    """A kill at the first instant when all of this holds and the victim exists."""

    victim: str
    after_seconds: float = 0.0
    after_records: int = 0
    """Acknowledged ones."""


@dataclass
class Round:
    """What was seen of one job; `faults` is empty when every promise held."""

    struck: int = 0
    """Strikes that hit."""
    trials_before: int = 0
    """Acknowledged records at the time of the last kill."""
    seconds: float = 0.0
    attempts: int = 0
    faults: list[str] = field(default_factory=list)


def workloads(number: int) -> list[Workload]:
    """Two kinds of space, new for every number."""
    return [dense(number), depthwise(number)]


def kill_attempt(service: TuningService) -> bool:
    return service.kill_attempt()


def kill_worker(service: TuningService) -> bool:
    return service.kill_worker()


def kill_server(service: TuningService) -> bool:
    service.kill()
    service.start()
    return True


VICTIMS: dict[str, Callable[[TuningService], bool]] = {
    "attempt": kill_attempt,
    "worker": kill_worker,
    "server": kill_server,
}


def play(service: TuningService, number: int, *strikes: Strike) -> Round:
    """Submit, strike one after the other, wait for the end, and look."""
    outcome, asked, pending = Round(), workloads(number), list(strikes)
    acknowledged: dict[int, Record] = {}
    worked: set[int] = set()
    began = time.monotonic()
    job = service.hub.submit(asked, trials=TRIALS).job
    while not job.state.is_final and time.monotonic() - began < END_SECONDS:
        acknowledged.update(service.records(job.id))
        sessions = service.attempt_sessions()
        if pending and _is_due(pending[0], time.monotonic() - began, len(acknowledged)):
            outcome.trials_before = len(acknowledged)
            if VICTIMS[pending[0].victim](service):
                outcome.struck += 1
                pending.pop(0)
        time.sleep(0.1)
        job = service.hub.client.job(job.id)
        if not job.state.is_final:
            worked |= sessions
    outcome.seconds = time.monotonic() - began
    outcome.attempts = job.attempt
    outcome.faults = [*_faults_of(service, job, acknowledged, worked), *_unserved(service, asked)]
    return outcome


def _is_due(strike: Strike, seconds: float, records: int) -> bool:
    return seconds >= strike.after_seconds and records >= strike.after_records


def _faults_of(service: TuningService, job: Job, acknowledged: dict[int, Record], worked: set[int]) -> list[str]:
    records = service.records(job.id)
    journal = service.measured(job.id)
    stored = {(record.workload_id, record.candidate) for record in records.values()}
    identities = [
        (record.workload_id, record.target, record.provenance.host_class, record.candidate)
        for record in records.values()
    ]
    left_over = service.attempts_left_over(worked)
    checks = {
        f"the job is {job.state}: {job.reason}": job.state is not JobState.FINISHED,
        "an acknowledged record is gone or another": any(
            records.get(each) != acknowledged[each] for each in acknowledged
        ),
        "a measured record was not delivered": not set(journal) <= stored,
        f"records twice: {_twice(identities)}": bool(_twice(identities)),
        f"measured twice: {_twice(journal)}": bool(_twice(journal)),
        f"{len(records)} records, {job.progress.trials} trials": not len(records) == job.progress.trials == 2 * TRIALS,
        f"left over: {left_over}": bool(left_over),
    }
    return [fault for fault, found in checks.items() if found]


def _unserved(service: TuningService, asked: Sequence[Workload]) -> list[str]:
    return [f"no schedule for {workload.name}" for workload in asked if service.hub.best(workload) is None]


def _twice(items: Sequence[object]) -> list[object]:
    return [item for item, count in Counter(items).items() if count > 1]
