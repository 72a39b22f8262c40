"""Four workers at one network."""

import time

from ..stage import Stage, scenario

LAYERS = range(20, 44)
TRIALS, TRIAL_SECONDS = 20, 0.15


@scenario(times=3)
def four_workers(stage: Stage) -> None:
    """The time of four over the time of one, for a job of 24 workloads; measuring is played, for want of cores."""
    alone = _seconds(stage, 1)
    together = _seconds(stage, 4)
    stage.took("one worker", alone)
    stage.took("four workers", together)
    stage.figure("four over one", together / alone, "of the time", at_most=0.3)


def _seconds(stage: Stage, workers: int) -> float:
    with stage.cluster(workers=workers) as cluster:
        for machine in cluster.machines:
            machine.direct({"trial_seconds": TRIAL_SECONDS})
        began = time.monotonic()
        cluster.observer.wait(cluster.observer.submit(LAYERS, trials=TRIALS), seconds=300)
        return time.monotonic() - began
    return float("nan")
