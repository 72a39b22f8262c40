"""A disk is full, or can only be read: that of a worker with real attempts, or that of the service."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import httpx2

from .. import disks
from ..cluster import REAL, TOKEN, Cluster
from ..disks import Disk, ReadOnly
from ..journals import Journals
from ..observer import workload
from ..patience import until
from ..real_jobs import fresh_workloads, require_exact_kernels, require_nobody_blamed, submit
from ..stage import Stage, scenario
from .hosts import is_idle, trials
from .kills import BOTH

ILL_SECONDS = 12.0
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def full(disk: Disk) -> Iterator[None]:
    disk.fill()
    yield
    disk.clear()


@scenario(times=3, databases=BOTH)
def worker_disk_full(stage: Stage) -> None:
    """In the midst of a job, and full for a while."""
    if not disks.can_be_had():
        stage.skip("only root can mount a disk")
        return
    with stage.cluster(workers=1, attempts=REAL) as cluster, Disk(cluster.machines[0].logs) as disk:
        _worker_is_ill(stage, cluster, full(disk))
        cluster.workers[0].kill_all()
        disk.end()


@scenario(times=3, databases=BOTH)
def worker_disk_read_only(stage: Stage) -> None:
    if not disks.can_be_had():
        stage.skip("only root can mount a disk")
        return
    with stage.cluster(workers=1, attempts=REAL) as cluster:
        _worker_is_ill(stage, cluster, ReadOnly(cluster.machines[0].logs))


def _worker_is_ill(stage: Stage, cluster: Cluster, illness: AbstractContextManager[object]) -> None:
    """The host is set aside with its reason, no workload is blamed, and all is done once the host is well."""
    fresh, host = fresh_workloads(), cluster.machines[0].name
    asked = [next(fresh) for _ in range(4)]
    jobs = [submit(cluster, one, other, trials=20) for one, other in (asked[:2], asked[2:])]
    until(lambda: trials(cluster, jobs[0]) > 3, 60, "the first job has begun")
    with illness:
        stage.counts["ill hosts"] += 1
        seconds = until(lambda: _reason(cluster, host), 60, "the host is set aside")
        stage.took("the host is set aside", seconds, at_most=20)
        reason = _reason(cluster, host)
        stage.require(str(cluster.machines[0].logs) in reason or "tuning log" in reason, f"it says: {reason}")
        time.sleep(stage.random.uniform(5, ILL_SECONDS))
        stage.require(bool(_reason(cluster, host)), "a host that is ill gets work")
    well = until(lambda: not _reason(cluster, host), 120, "the host is back")
    stage.took("the host is back after it was well", well, at_most=60)
    stage.took("all is done after that", cluster.observer.wait(*jobs, seconds=240))
    until(lambda: is_idle(cluster, host), 20, "the host is idle in the end")
    require_nobody_blamed(stage, cluster, *jobs)
    stage.faults += Journals(cluster).faults()
    require_exact_kernels(stage, cluster, *asked)


def _reason(cluster: Cluster, host: str) -> str:
    """Why it is set aside; nothing where it is not."""
    worker = cluster.observer.workers().get(host, {})
    return str(worker.get("reason") or "nothing is said") if worker.get("state") == "set_aside" else ""


@scenario(times=3, databases=("sqlite",))
def service_disk_full(stage: Stage) -> None:
    """Answers say so, and it works again when there is room, by itself."""
    if not disks.can_be_had():
        stage.skip("only root can mount a disk")
        return
    with stage.cluster(workers=2) as cluster:
        cluster.services[0].terminate()
        with Disk(_data(cluster)) as disk:
            cluster.services[0].start()
            jobs = [cluster.observer.submit([height], trials=300) for height in (20, 21, 22)]
            until(lambda: all(trials(cluster, job) > 5 for job in jobs[:2]), 30, "both workers have begun")
            with full(disk):
                _require_told(stage, cluster, 507, "free some space")
            _require_recovered(stage, cluster, *jobs)
            cluster.services[0].terminate()
            disk.end()


@scenario(times=3, databases=("sqlite",))
def service_disk_read_only(stage: Stage) -> None:
    """Answers say so; the disk is repaired and the service started again."""
    if not disks.can_be_had():
        stage.skip("only root can mount a disk")
        return
    with stage.cluster(workers=2) as cluster:
        service = cluster.services[0]
        service.terminate()
        with Disk(_data(cluster)) as disk:
            service.start()
            jobs = [cluster.observer.submit([height], trials=300) for height in (20, 21, 22)]
            until(lambda: all(trials(cluster, job) > 5 for job in jobs[:2]), 30, "both workers have begun")
            disk.fail()
            _require_told(stage, cluster, 503, "only be read")
            service.terminate()
            disk.repair()
            service.start()
            _require_recovered(stage, cluster, *jobs)
            service.terminate()
            disk.end()


def _data(cluster: Cluster) -> Path:
    return cluster.folder / "service-0" / "data"


def _require_told(stage: Stage, cluster: Cluster, status: int, words: str) -> None:
    """Who writes hears why it is refused, who reads is answered, and /readyz says it."""
    url, began = cluster.services[0].url, time.monotonic()
    stage.counts["ill disks"] += 1
    numbers = count(10)  # each submission is another one
    seen: set[int] = set()
    ready = ""
    while time.monotonic() - began < ILL_SECONDS:
        answer = httpx2.post(
            f"{url}/v1/jobs", json={"workloads": [workload(90)], "trials": next(numbers)}, headers=HEADERS, timeout=20
        )
        seen.add(answer.status_code)
        if answer.status_code >= 500:
            stage.require(words in answer.json()["detail"], f"{answer.status_code} says: {answer.json()['detail']}")
        readiness = httpx2.get(f"{url}/readyz", timeout=20)
        ready = ready or (readiness.json()["detail"] if readiness.status_code == 503 else "")
        for path in ("/healthz", "/v1/jobs", "/v1/workers"):
            code = httpx2.get(url + path, headers=HEADERS, timeout=20).status_code
            stage.require(code == 200, f"{path} says {code}")
        time.sleep(0.5)
    stage.require(status in seen, f"submissions were answered with {sorted(seen)}, never with {status}")
    stage.require(bool(ready), "/readyz says that all is well")


def _require_recovered(stage: Stage, cluster: Cluster, *jobs: int) -> None:
    url = cluster.services[0].url
    ready = until(lambda: httpx2.get(f"{url}/readyz", timeout=20).status_code == 200, 30, "the service is ready")
    stage.took("ready again", ready, at_most=10)
    stage.took("all is done after that", cluster.observer.wait(*jobs, seconds=180))
    require_nobody_blamed(stage, cluster, *jobs)
