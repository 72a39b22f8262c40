"""The network between workers, scheduler, database and service is slow, loses things, or is cut."""

import time

from ..cluster import Cluster
from ..link import DEAF, FINE, MUTE, SILENT, Link, Weather
from ..namespaces import can_be_had
from ..patience import until
from ..stage import Stage, scenario
from .hosts import host_of, is_idle, trials

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
def host_unheard_10(stage: Stage) -> None:
    _host_unheard(stage, 10)


@scenario(times=3)
def host_unheard_60(stage: Stage) -> None:
    _host_unheard(stage, 60)


@scenario(times=3)
def host_unheard_there(stage: Stage) -> None:
    """What is sent to it is lost, and it is heard as far as that goes."""
    _host_unheard(stage, 30, back=False)


@scenario(times=3)
def host_unheard_back(stage: Stage) -> None:
    """What it sends is lost."""
    _host_unheard(stage, 30, there=False)


def _host_unheard(stage: Stage, seconds: float, there: bool = True, back: bool = True) -> None:
    """One of two hosts is cut off, packets and all; the other one takes the next job at once."""
    if not can_be_had():
        stage.skip("network namespaces cannot be made here")
        return
    with stage.cluster(workers=2, has_network=True) as cluster:
        assert cluster.network is not None
        first = cluster.observer.submit([20], trials=400)
        until(lambda: trials(cluster, first) > 5, 20, "the first job has begun")
        host = host_of(cluster, first)
        address = next(each.address for each in cluster.machines if each.name == host)
        cluster.network.silence(address, there, back)
        stage.counts["partitions"] += 1
        began = time.monotonic()
        second = cluster.observer.submit([21], trials=30)
        stage.took("next job begins", until(lambda: trials(cluster, second) > 0, 60, "the next job begins"), 3)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        cluster.network.heal(address)
        cluster.observer.wait(first, second, seconds=120)
        stage.took("the host is back", until(lambda: is_idle(cluster, host), 60, "the host is back"))


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
