"""One of two hosts is frozen, or sick: the other one's work, and the jobs of both, are not touched."""

import time

from .. import directions
from ..cluster import Cluster
from ..patience import until
from ..stage import Stage, scenario

LEASE_SECONDS = 10.0


def trials(cluster: Cluster, job: int) -> int:
    count: int = cluster.observer.job(job)["progress"]["trials"]
    return count


def host_of(cluster: Cluster, job: int) -> str:
    """Where the job runs, once it does."""
    found: list[str] = []

    def look() -> bool:
        found[:] = [
            name
            for name, worker in cluster.observer.workers().items()
            if worker["running"] and worker["running"]["job_id"] == job
        ]
        return bool(found)

    until(look, 15, f"job {job} runs somewhere")
    return found[0]


def is_idle(cluster: Cluster, host: str) -> bool:
    return cluster.observer.workers().get(host, {}).get("state") == "idle"


@scenario(times=5)
def frozen_worker(stage: Stage) -> None:
    """SIGSTOP of a whole host for twice a lease, and SIGCONT."""
    with stage.cluster(workers=2) as cluster:
        first = cluster.observer.submit([20], trials=500)
        until(lambda: trials(cluster, first) > 5, 20, "the first job has begun")
        frozen = next(each for each in cluster.workers if each.machine.name == host_of(cluster, first))
        frozen.freeze_all()
        stage.counts["frozen hosts"] += 1
        began = time.monotonic()
        second = cluster.observer.submit([21], trials=30)
        stage.took("next job begins", until(lambda: trials(cluster, second) > 0, 60, "the next job begins"), 3)
        before = trials(cluster, first)
        until(lambda: trials(cluster, first) > before, 120, "the job of the frozen host goes on elsewhere")
        stage.took("job of the frozen host goes on", time.monotonic() - began, 30)
        time.sleep(max(0.0, began + 2 * LEASE_SECONDS - time.monotonic()))
        frozen.thaw()
        cluster.observer.wait(first, second)
        until(
            lambda: all(each["state"] == "idle" for each in cluster.observer.workers().values()),
            30,
            "all is well again",
        )


@scenario(times=5)
def frozen_worker_process(stage: Stage) -> None:
    """SIGSTOP of the worker's process alone: its attempt goes on, and is heard."""
    with stage.cluster(workers=2) as cluster:
        first = cluster.observer.submit([20], trials=300)
        until(lambda: trials(cluster, first) > 5, 20, "the first job has begun")
        frozen = next(each for each in cluster.workers if each.machine.name == host_of(cluster, first))
        frozen.freeze()
        stage.counts["frozen workers"] += 1
        second = cluster.observer.submit([21], trials=30)
        stage.took("next job begins", until(lambda: trials(cluster, second) > 0, 60, "the next job begins"), 3)
        cluster.observer.wait(first, second)
        frozen.thaw()
        until(
            lambda: all(each["state"] == "idle" for each in cluster.observer.workers().values()),
            30,
            "all is well again",
        )


@scenario(times=3)
def sick_host(stage: Stage) -> None:
    """Every attempt on one host says that its disk is full."""
    _one_is_sick(stage, directions.FAIL_HOST)


@scenario(times=3)
def crashing_host(stage: Stage) -> None:
    """Every attempt on one host crashes, and nobody says why."""
    _one_is_sick(stage, directions.CRASH)


@scenario(times=3)
def host_out_of_memory(stage: Stage) -> None:
    """The kernel of one host kills every attempt."""
    _one_is_sick(stage, directions.OUT_OF_MEMORY)


def _one_is_sick(stage: Stage, fault: str) -> None:
    with stage.cluster(workers=2) as cluster:
        sick = cluster.machines[0]
        sick.direct({"fault": fault})
        jobs = [cluster.observer.submit([height], trials=40) for height in range(20, 28)]
        reason = ""

        def is_set_aside() -> bool:
            nonlocal reason
            worker = cluster.observer.workers().get(sick.name, {})
            reason = worker.get("reason") or ""
            return worker.get("state") == "set_aside"

        stage.took("the sick host is set aside", until(is_set_aside, 60, "the sick host is set aside"))
        stage.require(bool(reason), "a host that is set aside has no reason")
        cluster.observer.wait(*jobs)
        stage.counts["sick hosts"] += 1
        sick.direct({})
        back = until(lambda: is_idle(cluster, sick.name), 180, "the host is back", 0.5)
        stage.took("it is back after it was well", back)


@scenario(times=3)
def bad_workload(stage: Stage) -> None:
    """One workload of five crashes every attempt: it fails after five tries, the others are done, no host is blamed."""
    stage.may_fail = True
    with stage.cluster(workers=2) as cluster:
        for machine in cluster.machines:
            machine.direct({"heights": {"22": directions.CRASH}})
        job = cluster.observer.submit([20, 21, 22, 23, 24], trials=20)
        cluster.observer.wait(job)
        states = {each["workload"]["height"]: each["state"] for each in cluster.observer.job(job)["workloads"]}
        stage.require(states.pop(22) == "failed", "the bad workload has not failed")
        stage.require(set(states.values()) == {"done"}, f"the others are {states}")
        after = cluster.observer.submit([30], trials=20)
        cluster.observer.wait(after, seconds=60)
        stage.require(cluster.observer.state(after) == "finished", "the next job was not tuned")


@scenario(times=3)
def deaf_attempts(stage: Stage) -> None:
    """Cancels of attempts that heed none: killed, and ended in time."""
    with stage.cluster(workers=2) as cluster:
        for machine in cluster.machines:
            machine.direct({"fault": directions.IGNORE_CANCEL})
        jobs = [cluster.observer.submit([height], trials=5000) for height in (20, 21, 22, 23)]
        until(lambda: trials(cluster, jobs[0]) > 5, 20, "the first job has begun")
        time.sleep(stage.random.uniform(0, 1))
        for job in jobs:
            cluster.observer.cancel(job)
        stage.counts["cancels"] += len(jobs)
        cluster.observer.wait(*jobs, seconds=30)
