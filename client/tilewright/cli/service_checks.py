"""Can a service tune now, and what is away if it cannot."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from tilewright import __version__
from tilewright.contract.workers import Worker, WorkerState
from tilewright.doctor import Check
from tilewright.errors import TilewrightError, Unavailable
from tilewright.http import Client

START_WORKER = "start one with `tilewright worker --engine URL`, where URL is that of the service's scheduler"
REMEDIES = {
    WorkerState.SET_ASIDE: "mend what is said there; it is probed now and then, and comes back by itself",
    WorkerState.SILENT: "see whether its machine and its network are well; it comes back by itself when it answers",
    WorkerState.DRAINING: "start it again with `tilewright worker` when it is to take work again",
}
"""For the states in which a worker takes no work."""


def run_service_checks(client: Client) -> Iterator[Check]:
    """The last check is whether it can tune: what stands before it may be wrong with one worker only."""
    obstacles: list[str] = []
    workers: list[Worker] = []
    try:
        yield check_version(client.version(), client.url)
        for part in client.ailing_parts():
            obstacles.append(f"its {part.part} is not well")
            yield Check(part.part, False, f"{part.reason}, since {_minute(part.since)}")
        workers = list(client.workers())
        yield from map(check_worker, workers)
        if not workers:
            yield Check("workers", False, "none has joined", START_WORKER)
    except Unavailable as error:
        obstacles.append("its workers cannot be asked for")
        yield Check("workers", False, error.detail)
    except TilewrightError as error:
        obstacles.append("it cannot be asked")
        yield Check("service", False, error.detail)
    yield check_tuning(workers, obstacles)


def check_version(version: str, url: str) -> Check:
    """Another than ours is no fault: they understand each other."""
    if version == __version__:
        return Check("service", True, f"Tilewright {version} at {url}")
    remedy = f"python -m pip install tilewright=={version} would make this client the same"
    return Check("service", True, f"Tilewright {version} at {url}; this client is {__version__}", remedy)


def check_worker(worker: Worker) -> Check:
    since = f" since {_minute(worker.since)}" if worker.since else ""
    reason = f": {worker.reason}" if worker.reason else ""
    detail = f"{_doing(worker)}{since}{reason}; {_equipment(worker)}"
    return Check(f"worker {worker.name}", worker.state not in REMEDIES, detail, REMEDIES.get(worker.state))


def check_tuning(workers: list[Worker], obstacles: list[str]) -> Check:
    fit = sum(worker.state not in REMEDIES for worker in workers)
    if not obstacles and not fit:
        counts = Counter(worker.state for worker in workers)
        found = ", ".join(f"{count} {_word(state)}" for state, count in counts.items())
        obstacles = [f"of its workers none takes work ({found})" if workers else "it has no worker"]
    if obstacles:
        return Check("tuning", False, f"nothing can be tuned now: {' and '.join(obstacles)}; jobs that wait are kept")
    return Check("tuning", True, f"{fit} of {len(workers)} worker{'s' if len(workers) > 1 else ''} can tune")


def _minute(instant: datetime) -> str:
    return f"{instant.astimezone():%Y-%m-%d %H:%M}"


def _doing(worker: Worker) -> str:
    if worker.running is not None and worker.state is WorkerState.RUNNING:
        return f"runs attempt {worker.running.attempt} of job {worker.running.job_id}"
    return _word(worker.state)


def _word(state: WorkerState) -> str:
    return state.replace("_", " ")


def _equipment(worker: Worker) -> str:
    on = "" if worker.hostname == worker.name else f" of {worker.hostname}"
    kind = f", {worker.host_class}" if worker.host_class else ""
    return f"{worker.cores} core{'s' if worker.cores > 1 else ''}{on}{kind}"
