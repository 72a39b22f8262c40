"""The network between workers, scheduler, database and service is slow, loses things, or is cut."""

import time

from ..cluster import Cluster
from ..link import DEAF, FINE, MUTE, SILENT, Link, Weather
from ..patience import until
from ..stage import Stage, scenario
from .hosts import trials

STORMY = Weather(delay_seconds=0.2, loss=0.05)


def all_links(cluster: Cluster) -> list[Link]:
    links = [cluster.scheduler_link, *cluster.homes]
    return links if cluster.postgres is None else [*links, cluster.database_link]


@scenario(times=3)
def latency_and_loss(stage: Stage) -> None:
    """200 ms each way and a loss of 5%, everywhere but at the database."""
    with stage.cluster(workers=2) as cluster:
        for link in [cluster.scheduler_link, *cluster.homes]:
            link.set(STORMY)
        jobs = [cluster.observer.submit([height], trials=20) for height in (20, 21, 22, 23)]
        cluster.observer.wait(*jobs, seconds=240)
        attempts = [cluster.observer.job(job)["attempt"] for job in jobs]
        stage.require(attempts == [1] * len(jobs), f"attempts were lost to the weather: {attempts}")


@scenario(times=3)
def partition_10(stage: Stage) -> None:
    _partition(stage, 10, SILENT)


@scenario(times=3)
def partition_60(stage: Stage) -> None:
    _partition(stage, 60, SILENT)


@scenario(times=3)
def partition_there(stage: Stage) -> None:
    """What attempts ask arrives nowhere; what is answered would arrive."""
    _partition(stage, 30, DEAF)


@scenario(times=3)
def partition_back(stage: Stage) -> None:
    """What attempts ask is done, and the answer is lost."""
    _partition(stage, 30, MUTE)


def _partition(stage: Stage, seconds: float, weather: Weather) -> None:
    """Between the service and its scheduler and attempts."""
    with stage.cluster(workers=2) as cluster:
        jobs = [cluster.observer.submit([height], trials=300) for height in (20, 21, 22)]
        until(lambda: all(trials(cluster, job) > 5 for job in jobs[:2]), 30, "both workers have begun")
        for link in [cluster.scheduler_link, *cluster.homes]:
            link.set(weather)
        stage.counts["partitions"] += 1
        time.sleep(seconds)
        for link in [cluster.scheduler_link, *cluster.homes]:
            link.set(FINE)
        healed, before = time.monotonic(), {job: trials(cluster, job) for job in jobs}
        until(lambda: any(trials(cluster, job) > before[job] for job in jobs), 90, "something goes on")
        stage.took("something goes on after it healed", time.monotonic() - healed)
        cluster.observer.wait(*jobs, seconds=180)


@scenario(times=3)
def reset_connections(stage: Stage) -> None:
    """All connections are reset ten times while four jobs run."""
    with stage.cluster(workers=2) as cluster:
        jobs = [cluster.observer.submit([height], trials=150) for height in (20, 21, 22, 23)]
        for _ in range(10):
            time.sleep(stage.random.uniform(0, 1.5))
            for link in all_links(cluster):
                link.cut()
            stage.counts["resets"] += 1
        cluster.observer.wait(*jobs, seconds=120)
