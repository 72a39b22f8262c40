"""Real attempts whose evaluators are killed, or take of their host whatever they get."""

import time
from contextlib import suppress

import psutil

from tilewright.contract.workload import Workload

from ..cluster import REAL, Cluster
from ..consumption import Consumption
from ..journals import Journals
from ..patience import until
from ..real_jobs import fresh_workloads, require_exact_kernels, require_nobody_blamed, submit
from ..stage import Stage, scenario
from .hosts import trials
from .kills import BOTH, KILLS

MIB = 2**20
EVALUATOR_BYTES = 1024 * MIB
MOST_PROCESSES = 4
"""Two evaluators, and what takes their place while they end."""
MOST_DISK = 16
"""MiB of journals and logs."""


@scenario(times=5, databases=BOTH)
def kill_evaluators(stage: Stage) -> None:
    """At random instants of real attempts: each kill costs a trial at most, and no job more than that."""
    fresh = fresh_workloads()
    asked: list[Workload] = []
    with stage.cluster(workers=1, attempts=REAL) as cluster:
        jobs: list[int] = []
        while stage.counts["kills"] < KILLS:
            if all(cluster.observer.state(job) in ("finished", "failed") for job in jobs):
                asked += (workloads := [next(fresh), next(fresh)])
                jobs.append(submit(cluster, *workloads))
            time.sleep(stage.random.uniform(0, 1.5))
            stage.counts["kills"] += _kill_evaluator(stage, cluster)
        stage.took("all is done after the last kill", cluster.observer.wait(*jobs, seconds=240))
        _judge(stage, cluster, asked)


def _kill_evaluator(stage: Stage, cluster: Cluster) -> bool:
    found = sorted(cluster.evaluators(), key=lambda each: each.pid)
    if not found:
        return False
    victim = stage.random.choice(found)
    with suppress(psutil.NoSuchProcess):
        victim.kill()
        return True
    return False


@scenario(times=3)
def evaluators_out_of_memory(stage: Stage) -> None:
    _misbehave(stage, "allocate")


@scenario(times=3)
def evaluators_that_fork(stage: Stage) -> None:
    _misbehave(stage, "fork")


@scenario(times=3)
def evaluators_that_start_threads(stage: Stage) -> None:
    _misbehave(stage, "start_threads")


@scenario(times=3)
def evaluators_that_write(stage: Stage) -> None:
    """One file without end."""
    _misbehave(stage, "write_a_file")


@scenario(times=3)
def evaluators_that_fill_the_disk(stage: Stage) -> None:
    """Files without end."""
    _misbehave(stage, "fill_the_disk")


@scenario(times=3)
def evaluators_that_print(stage: Stage) -> None:
    _misbehave(stage, "print_on")


@scenario(times=3)
def evaluators_that_hang(stage: Stage) -> None:
    _misbehave(stage, "hang")


@scenario(times=3)
def evaluators_that_die(stage: Stage) -> None:
    _misbehave(stage, "die")


def _misbehave(stage: Stage, how: str) -> None:
    """Every fifth build of real attempts: bounded, and all other candidates are tried."""
    fresh = fresh_workloads()
    asked = [next(fresh), next(fresh)]
    with stage.cluster(workers=1, attempts=REAL) as cluster, Consumption(cluster) as taken:
        for machine in cluster.machines:
            (machine.folder / "files").mkdir()
            machine.direct({"evaluators": how, "evaluator_bytes": EVALUATOR_BYTES})
        job = submit(cluster, *asked, trials=12)
        stage.took("the job is over", cluster.observer.wait(job, seconds=240), at_most=120)
        _judge(stage, cluster, asked)
        journals = Journals(cluster)
        stage.counts["misbehaviours"] += len(journals.misbehaved)
        stage.require(bool(journals.misbehaved), "nothing misbehaved")
        stage.require(journals.misbehaved <= journals.failed, "what misbehaved has not failed")
        stage.require(cluster.observer.job(job)["attempt"] == 1, "the attempt was lost")
        require_nobody_blamed(stage, cluster, job)
    stage.figure("processes of evaluators", taken.processes, "at once", at_most=MOST_PROCESSES)
    stage.figure("threads of evaluators", taken.threads, "at once")
    stage.figure("memory of evaluators", taken.megabytes, "MiB", at_most=2 * EVALUATOR_BYTES / MIB)
    stage.figure("disk of the host", taken.disk_megabytes, "MiB", at_most=MOST_DISK)


@scenario(times=2)
def service_away_60(stage: Stage) -> None:
    """A real attempt goes on measuring without it, and all of it arrives."""
    fresh = fresh_workloads()
    asked = [next(fresh) for _ in range(3)]
    with stage.cluster(workers=1, attempts=REAL) as cluster:
        job = submit(cluster, *asked, trials=50)
        until(lambda: trials(cluster, job) > 5, 60, "the job has begun")
        cluster.services[0].kill()
        stage.counts["outages"] += 1
        began, before = time.monotonic(), len(Journals(cluster).records)
        time.sleep(60)
        stage.figure("trials while it was away", len(Journals(cluster).records) - before, "", at_least=1)
        cluster.services[0].start()
        cluster.notebook.note("outage", began=began)
        back = until(lambda: Journals(cluster).are_delivered, 20, "what was measured meanwhile arrives")
        stage.took("what was measured meanwhile has arrived", back, at_most=10)
        cluster.observer.wait(job, seconds=240)
        _judge(stage, cluster, asked)
        stage.require(cluster.observer.job(job)["attempt"] == 1, "the attempt was lost")
        require_nobody_blamed(stage, cluster, job)


def _judge(stage: Stage, cluster: Cluster, asked: list[Workload]) -> None:
    stage.faults += Journals(cluster).faults()
    require_exact_kernels(stage, cluster, *asked)
    left = until(lambda: not cluster.evaluators(), 10, "no evaluator is left")
    stage.took("the last evaluator has ended", left)
