"""The database is away, or its disk is full."""

import os
import subprocess
import time

from ..link import FINE, SILENT
from ..patience import until
from ..stage import Stage, scenario
from .hosts import trials


@scenario(times=3, databases=("postgresql",))
def database_away_60(stage: Stage) -> None:
    """It is stopped as with a power cut, and started a minute later."""
    _away(stage, 60, "kill")


@scenario(times=3, databases=("postgresql",))
def database_frozen_60(stage: Stage) -> None:
    _away(stage, 60, "freeze")


@scenario(times=3, databases=("postgresql",))
def database_unheard_30(stage: Stage) -> None:
    """The network to it is silent."""
    _away(stage, 30, "silence")


def _away(stage: Stage, seconds: float, how: str) -> None:
    with stage.cluster(workers=2) as cluster:
        assert cluster.postgres is not None
        jobs = [cluster.observer.submit([height], trials=300) for height in (20, 21, 22)]
        until(lambda: all(trials(cluster, job) > 5 for job in jobs[:2]), 30, "both workers have begun")
        match how:
            case "kill":
                cluster.postgres.kill()
            case "freeze":
                cluster.postgres.freeze_all()
            case "silence":
                cluster.database_link.set(SILENT)
        stage.counts["outages"] += 1
        began, slowest = time.monotonic(), 0.0
        while time.monotonic() - began < seconds:
            asked = time.monotonic()
            answer = cluster.observer.ask("GET", "/healthz")
            slowest = max(slowest, time.monotonic() - asked)
            stage.require(answer.status_code == 200, f"/healthz says {answer.status_code}")
            time.sleep(0.5)
        stage.took("an answer of /healthz meanwhile", slowest, 1)
        match how:
            case "kill":
                cluster.postgres.start()
            case "freeze":
                cluster.postgres.thaw()
            case "silence":
                cluster.database_link.set(FINE)
        back = time.monotonic()
        until(lambda: any(trials(cluster, job) for job in jobs), 60, "jobs can be read again")
        stage.took("jobs can be read again", time.monotonic() - back)
        cluster.observer.wait(*jobs, seconds=180)


@scenario(times=3, databases=("sqlite",))
def disk_full(stage: Stage) -> None:
    """The disk of the service has room for some records, and more only after a while."""
    if os.getuid() != 0:
        stage.skip("only root can mount a small disk")
        return
    with stage.cluster(workers=2) as cluster:
        data = cluster.folder / "service-0" / "data"
        cluster.services[0].terminate()
        with SmallDisk(str(data)) as disk:
            cluster.services[0].start()
            jobs = [cluster.observer.submit([height], trials=300) for height in (20, 21, 22)]
            until(lambda: all(trials(cluster, job) > 5 for job in jobs[:2]), 30, "both workers have begun")
            disk.fill()
            stage.counts["full disks"] += 1
            time.sleep(stage.random.uniform(5, 20))
            stage.require(cluster.observer.ask("GET", "/healthz").status_code == 200, "the service is gone")
            disk.clear()
            cluster.observer.wait(*jobs, seconds=180)
            stage.faults += cluster.history().faults()
            cluster.services[0].terminate()
            disk.copy_out()


class SmallDisk:
    """A file system in memory, mounted over a folder; wants to be root."""

    def __init__(self, folder: str) -> None:
        self._folder, self._aside = folder, f"{folder}.aside"

    def __enter__(self) -> "SmallDisk":
        subprocess.run(["cp", "-a", self._folder, self._aside], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", self._folder], check=True)
        subprocess.run(["cp", "-aT", self._aside, self._folder], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", self._folder], capture_output=True, check=False)

    def fill(self) -> None:
        subprocess.run(["dd", "if=/dev/zero", f"of={self._folder}/ballast", "bs=64k"], capture_output=True, check=False)

    def clear(self) -> None:
        subprocess.run(["rm", f"{self._folder}/ballast"], check=True)

    def copy_out(self) -> None:
        """Below the mount, where it is looked for afterwards."""
        subprocess.run(["rm", "-rf", self._aside], check=True)
        subprocess.run(["cp", "-aT", self._folder, self._aside], check=True)
        subprocess.run(["umount", "-l", self._folder], check=True)
        subprocess.run(["cp", "-aT", self._aside, self._folder], check=True)
