"""`kill -9` at random instants, of every part in turn, while jobs come and go."""

import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from ..cluster import Cluster, Kind
from ..faults import Faults
from ..members import Member
from ..postgres import Postgres
from ..stage import Stage, scenario
from .heights import fresh_heights, take

KILLS = 20
"""In one run: ten of them make the two hundred that are asked for."""
OPEN_JOBS = 3

BOTH: tuple[Kind, ...] = ("sqlite", "postgresql")


@scenario(times=10, databases=BOTH)
def kill_attempts(stage: Stage) -> None:
    _kill(stage, _strike_attempt)


@scenario(times=10, databases=BOTH)
def kill_workers(stage: Stage) -> None:
    _kill(stage, lambda stage, cluster: _strike(stage, cluster, stage.random.choice(cluster.workers)))


@scenario(times=10, databases=BOTH)
def kill_scheduler(stage: Stage) -> None:
    _kill(stage, lambda stage, cluster: _strike(stage, cluster, cluster.scheduler))


@scenario(times=10, databases=BOTH)
def kill_service(stage: Stage) -> None:
    _kill(stage, lambda stage, cluster: _strike(stage, cluster, cluster.services[0]))


@scenario(times=10, databases=BOTH)
def kill_service_embedded(stage: Stage) -> None:
    """With the engine that it brings along."""
    _kill(stage, lambda stage, cluster: _strike(stage, cluster, cluster.services[0]), engine="embedded", workers=0)


@scenario(times=10, databases=("postgresql",))
def kill_database(stage: Stage) -> None:
    def strike(stage: Stage, cluster: Cluster) -> bool:
        assert cluster.postgres is not None
        return _strike(stage, cluster, cluster.postgres)

    _kill(stage, strike)


@scenario(times=10, databases=BOTH)
def kill_anything(stage: Stage) -> None:
    """Whatever it is, and sometimes the next before this one is back."""
    _kill(stage, lambda stage, cluster: _strike(stage, cluster, stage.random.choice(cluster.everything)))


def _kill(stage: Stage, strike: Callable[[Stage, Cluster], bool], **parts: object) -> None:
    heights = fresh_heights()
    with stage.cluster(**{"workers": 2, **parts}) as cluster:
        jobs: list[int] = []
        while stage.counts["kills"] < KILLS:
            while (
                sum(cluster.observer.state(job) not in ("finished", "failed", "cancelled") for job in jobs) < OPEN_JOBS
            ):
                jobs.append(cluster.observer.submit(take(heights, 3), trials=40))
            time.sleep(stage.random.uniform(0, 3))
            if stage.random.random() < 0.15:
                cluster.observer.cancel(stage.random.choice(jobs))
            stage.counts["kills"] += strike(stage, cluster)
        stage.took("all is done after the last kill", cluster.observer.wait(*jobs, seconds=240))


def _strike_attempt(stage: Stage, cluster: Cluster) -> bool:
    """One that is at work, if there is."""
    found = cluster.stand_ins()
    if not found:
        return False
    with suppress(psutil.NoSuchProcess):
        stage.random.choice(sorted(found, key=lambda each: each.pid)).kill()
    return True


def _strike(stage: Stage, cluster: Cluster, victim: Faults) -> bool:
    """It comes back a moment later, as whoever runs it sees to."""
    assert isinstance(victim, Member | Postgres)
    began = time.monotonic()
    victim.kill()
    time.sleep(stage.random.uniform(0, 2))
    victim.start()
    cluster.notebook.note("outage", began=began)
    return True
