"""The scheduler goes and comes, and the service does, with an engine that stays."""

import time

from ..patience import until
from ..stage import Stage, scenario
from .hosts import trials


@scenario(times=3)
def scheduler_away_15(stage: Stage) -> None:
    _scheduler_away(stage, 15)


@scenario(times=3)
def scheduler_away_60(stage: Stage) -> None:
    _scheduler_away(stage, 60)


def _scheduler_away(stage: Stage, seconds: float) -> None:
    with stage.cluster(workers=2) as cluster:
        first = cluster.observer.submit([20], trials=int(seconds * 50))
        until(lambda: trials(cluster, first) > 5, 20, "the first job has begun")
        cluster.scheduler.kill()
        stage.counts["outages"] += 1
        began, before = time.monotonic(), trials(cluster, first)
        second = cluster.observer.submit([21], trials=30)
        until(lambda: cluster.observer.ask("GET", "/v1/workers").status_code == 200, 10, "workers can be asked for")
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        stage.require(trials(cluster, first) > before, "an attempt stopped while the scheduler was away")
        cluster.scheduler.start()
        third = cluster.observer.submit([22], trials=30)
        all_go_on = until(lambda: trials(cluster, second) and trials(cluster, third), 90, "what waited begins")
        stage.took("what waited begins after its return", all_go_on, 10)
        cluster.observer.wait(first, second, third, seconds=180)
        stage.require(cluster.observer.job(first)["attempt"] == 1, "an attempt was lost with the scheduler")


@scenario(times=5)
def service_killed(stage: Stage) -> None:
    """With attempts that go on, and jobs that wait: nobody is blamed."""
    with stage.cluster(workers=2) as cluster:
        long = [cluster.observer.submit([height], trials=300) for height in (20, 21)]
        waiting = [cluster.observer.submit([height], trials=20) for height in (30, 31, 32)]
        until(lambda: all(trials(cluster, job) > 5 for job in long), 30, "both workers have begun")
        cluster.services[0].kill()
        stage.counts["kills"] += 1
        time.sleep(stage.random.uniform(0.5, 9))
        cluster.services[0].start()
        cluster.observer.wait(*long, *waiting, seconds=120)
        for job in [*long, *waiting]:
            ended = cluster.observer.job(job)
            tries = [each["tries"] for each in ended["workloads"]]
            stage.require(not any(tries), f"job {job} was blamed: {tries}")
            stage.require(ended["attempt"] == 1, f"job {job} needed {ended['attempt']} attempts")


@scenario(times=3)
def service_asked_to_end(stage: Stage) -> None:
    """SIGTERM, as an upgrade does: attempts on other hosts go on."""
    with stage.cluster(workers=2) as cluster:
        long = [cluster.observer.submit([height], trials=300) for height in (20, 21)]
        until(lambda: all(trials(cluster, job) > 5 for job in long), 30, "both workers have begun")
        code = cluster.services[0].terminate()
        stage.require(code == 0, f"the service left with {code}")
        time.sleep(stage.random.uniform(0.5, 8))
        cluster.services[0].start()
        cluster.observer.wait(*long, seconds=120)
        attempts = [cluster.observer.job(job)["attempt"] for job in long]
        stage.require(attempts == [1, 1], f"attempts of other hosts were ended: {attempts}")
