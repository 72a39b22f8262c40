"""Jobs of small real workloads, and what has to hold of them in the end."""

from collections.abc import Iterator
from itertools import count

from tilewright.contract.schedules import Lookup
from tilewright.contract.workload import Workload
from tilewright.http import open_client

from .cluster import TOKEN, Cluster
from .stage import Stage

TRIALS = 20


def fresh_workloads() -> Iterator[Workload]:
    """Each is tuned in seconds; some fifty candidates."""
    for number in count():
        yield Workload(
            batch=1,
            in_channels=32 + 4 * number,
            height=16,
            width=16,
            out_channels=64,
            kernel_size=(3, 3),
            padding=(1, 1, 1, 1),
        )


def submit(cluster: Cluster, *workloads: Workload, trials: int = TRIALS) -> int:
    return cluster.observer.submit([], trials=trials, workloads=[each.model_dump(mode="json") for each in workloads])


def require_nobody_blamed(stage: Stage, cluster: Cluster, *jobs: int) -> None:
    for job in jobs:
        tries = [each["tries"] for each in cluster.observer.job(job)["workloads"]]
        stage.require(not any(tries), f"workloads of job {job} were blamed: {tries}")


def require_exact_kernels(stage: Stage, cluster: Cluster, *workloads: Workload) -> None:
    """What is served for each is built here, and compared with the reference."""
    from tilewright_kernels.runtime.kernel import load_kernel  # TVM takes a second, and few scenarios need it
    from tilewright_tuning.verification import Mismatch, verify

    with open_client(cluster.services[0].url, TOKEN) as client:
        schedules = client.lookup(Lookup(workloads=list(workloads))).items
    for workload, schedule in zip(workloads, schedules, strict=True):
        if schedule is None:
            stage.faults.append(f"no schedule is served for {workload.name}")
            continue
        outcome = verify(load_kernel(workload, schedule.target, schedule))
        if isinstance(outcome, Mismatch):
            stage.faults.append(f"the kernel of {workload.name} is not exact: {outcome.reason}")
        stage.counts["kernels compared"] += 1
