"""An attempt is delivered five times at once."""

from ..stage import Stage, scenario


@scenario(times=5)
def five_deliveries(stage: Stage) -> None:
    with stage.cluster(workers=2) as cluster:
        for machine in cluster.machines:
            machine.direct({"twins": 4})
        jobs = [cluster.observer.submit([height], trials=50) for height in range(20, 26)]
        cluster.observer.wait(*jobs)
        stage.counts["deliveries"] += 5 * sum(cluster.observer.job(job)["attempt"] for job in jobs)
