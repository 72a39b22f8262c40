"""The wall clock is set, by an hour, forwards and back, on either side."""

import time
from collections.abc import Callable

from ..cluster import Cluster
from ..patience import until
from ..stage import Stage, scenario
from ..wall_clock import WallClock, can_be_set
from .hosts import trials

HOUR = 3600


@scenario(times=2)
def clock_of_service_steps(stage: Stage) -> None:
    _steps(stage, lambda cluster: cluster.clock_of_services)


@scenario(times=2)
def clock_of_workers_steps(stage: Stage) -> None:
    _steps(stage, lambda cluster: cluster.clock_of_workers)


def _steps(stage: Stage, clock_of: Callable[[Cluster], WallClock]) -> None:
    if not can_be_set():
        stage.skip("no C compiler is here, so no clock can be set")
        return
    with stage.cluster(workers=2) as cluster:
        jobs = [cluster.observer.submit([height], trials=200) for height in (20, 21)]
        until(lambda: all(trials(cluster, job) > 5 for job in jobs), 30, "both workers have begun")
        for seconds in (HOUR, -HOUR, 0):
            clock_of(cluster).step(seconds)
            stage.counts["steps"] += 1
            time.sleep(3)
        more = cluster.observer.submit([30], trials=5000)
        clock_of(cluster).step(-HOUR)
        cluster.observer.wait(*jobs)
        until(lambda: trials(cluster, more) > 0, 30, "the third job has begun")
        clock_of(cluster).step(HOUR)
        cluster.observer.cancel(more)
        cluster.observer.wait(more, seconds=20)
        attempts = [cluster.observer.job(job)["attempt"] for job in [*jobs, more]]
        stage.require(attempts == [1, 1, 1], f"a step of the clock ended attempts: {attempts}")
