"""Two services on one PostgreSQL: one leads, the other takes over, and both tell what happens."""

import json
import threading
import time
from collections import defaultdict
from contextlib import suppress

import httpx2

from ..cluster import TOKEN, Cluster
from ..patience import until
from ..stage import Stage, scenario
from .hosts import trials

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


class Reader:
    """Follows the events of a job at one service, and notes when each arrived."""

    def __init__(self, url: str, job: int) -> None:
        self.arrived: dict[int, float] = {}
        self._url = f"{url}/v1/jobs/{job}/events"
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def join(self, seconds: float = 10) -> None:
        self._thread.join(seconds)

    def _read(self) -> None:
        with suppress(httpx2.TransportError), httpx2.stream("GET", self._url, headers=HEADERS, timeout=60) as answer:
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    self.arrived.setdefault(json.loads(line[5:])["id"], time.monotonic())


@scenario(times=5, databases=("postgresql",))
def fail_over(stage: Stage) -> None:
    """Each of the two services is killed in turn; the other one goes on launching."""
    with stage.cluster(workers=2, services=2) as cluster:
        for victim in stage.random.sample((0, 1), 2):
            heights = range(20 + 10 * victim, 23 + 10 * victim)
            running = cluster.observer.submit(heights[:1], trials=200)
            until(lambda job=running: trials(cluster, job) > 5, 30, "a job has begun")  # type: ignore[misc]
            cluster.services[victim].kill()
            stage.counts["kills"] += 1
            began = time.monotonic()
            after = [cluster.observer.submit([height], trials=20) for height in heights[1:]]
            until(lambda jobs=after: all(trials(cluster, job) for job in jobs), 60, "the other one launches")  # type: ignore[misc]
            stage.took("fail-over", time.monotonic() - began, 10)
            cluster.services[victim].start()
            cluster.observer.wait(running, *after)


@scenario(times=5, databases=("postgresql",))
def events_of_two_services(stage: Stage) -> None:
    """Every event reaches the readers of both, within a second."""
    with stage.cluster(workers=2, services=2) as cluster:
        jobs = [cluster.observer.submit([height, height + 1], trials=60, service=height % 2) for height in (20, 23, 26)]
        readers = {job: [Reader(service.url, job) for service in cluster.services] for job in jobs}
        cluster.observer.wait(*jobs)
        for job, (one, other) in readers.items():
            one.join()
            other.join()
            stage.require(
                one.arrived.keys() == other.arrived.keys(), f"readers of job {job} were told different things"
            )
            stored = {event.id for event in cluster.history().end.events if event.job_id == job}
            stage.require(set(one.arrived) == stored, f"readers of job {job} missed {stored - set(one.arrived)}")
            stage.counts["events"] += len(one.arrived)
            apart = [abs(one.arrived[each] - other.arrived[each]) for each in one.arrived.keys() & other.arrived.keys()]
            # What was there before they came is told at once.
            stage.took("the second reader hears it", max(apart, default=0.0), 1)


@scenario(times=3, databases=("postgresql",))
def frozen_leader(stage: Stage) -> None:
    """A service is stopped for 20 s, and goes on as if nothing was: it may not lead any more."""
    with stage.cluster(workers=2, services=2) as cluster:
        for number in (0, 1):
            cluster.services[number].freeze_all()
            stage.counts["frozen services"] += 1
            other, began = 1 - number, time.monotonic()
            jobs = [
                cluster.observer.submit([height], trials=50, service=other)
                for height in range(20 + 10 * number, 24 + 10 * number)
            ]
            until(lambda jobs=jobs, other=other: _has_begun(cluster, jobs[0], other), 60, "the other one launches")  # type: ignore[misc]
            stage.took("fail-over", time.monotonic() - began, 10)
            time.sleep(max(0.0, began + 20 - time.monotonic()))
            cluster.services[number].thaw()
            cluster.observer.wait(*jobs)


@scenario(times=3, databases=("postgresql",))
def same_submissions(stage: Stage) -> None:
    """Sixteen people ask both services for the same at once: one job."""
    with stage.cluster(workers=1, services=2) as cluster:
        found: dict[int, set[int]] = defaultdict(set)
        for height in (20, 21, 22):
            threads = [
                threading.Thread(target=_submit_to, args=(cluster, height, number, found[height]))
                for number in range(16)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            stage.counts["submissions"] += 16
        stage.require(all(len(jobs) == 1 for jobs in found.values()), f"identical submissions made {dict(found)}")
        cluster.observer.wait(*(job for jobs in found.values() for job in jobs))


def _submit_to(cluster: Cluster, height: int, number: int, found: set[int]) -> None:
    found.add(cluster.observer.submit([height], trials=30, user=f"user-{number}", service=number % 2))


def _has_begun(cluster: Cluster, job: int, service: int) -> bool:
    return bool(cluster.observer.get(f"/v1/jobs/{job}", service)["progress"]["trials"])
