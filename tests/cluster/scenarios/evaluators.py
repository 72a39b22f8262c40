"""Real attempts: they compile and measure with the real TVM, and something happens to them."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.environment import environment
from tests.services import ServiceProcess
from tests.system.kill_round import Strike, play, workloads
from tests.system.running_scheduler import running_scheduler, running_worker
from tests.system.tuning_service import TuningService
from tilewright.contract.jobs import Job, JobState
from tilewright.contract.workers import WorkerState

from ..patience import until
from ..stage import Stage, scenario

KILLS = 10
"""In one run: twenty of them make the two hundred that are asked for."""
TRIALS = 60
WAYS = {"full": "fill", "read-only": "close"}


@scenario(times=20, databases=("sqlite",))
def kill_evaluators(stage: Stage) -> None:
    """`kill -9` of those that build and measure. What they were at is a failed trial, and nothing else is lost."""
    with TemporaryDirectory(prefix="tilewright-evaluators-") as folder, TuningService(Path(folder)) as service:
        for number in range(KILLS):
            if stage.counts["kills"] >= KILLS:
                break
            instants = sorted(stage.random.uniform(1, 8) for _ in range(3))
            strikes = [Strike("evaluator", after_seconds=each) for each in instants]
            outcome = play(service, number, *strikes)
            stage.counts["kills"] += outcome.struck
            stage.counts["jobs"] += 1
            stage.counts["records"] += len(service.records(number + 1))
            stage.faults += outcome.faults
            stage.require(outcome.attempts == 1, f"the kills cost {outcome.attempts - 1} attempts")
            stage.took("a job", outcome.seconds)


@scenario(times=3, databases=("sqlite",))
def tuning_disk(stage: Stage) -> None:
    """The disk on which attempts keep their journals is full for a while, or read-only: the host is set aside."""
    if os.getuid() != 0:
        stage.skip("only root can mount a small disk")
        return
    with (
        TemporaryDirectory(prefix="tilewright-disk-") as folder,
        TuningDisk(Path(folder) / "logs") as disk,
        TuningService(Path(folder)) as service,
    ):
        for number, way in enumerate(WAYS):
            _ail(stage, service, disk, way, number)


def _ail(stage: Stage, service: TuningService, disk: "TuningDisk", way: str, number: int) -> None:
    until(lambda: not service.attempt_sessions() or _state(service) is WorkerState.IDLE, 30, "the worker is idle")
    getattr(disk, WAYS[way])()
    stage.counts[f"{way} disks"] += 1
    began = time.monotonic()
    job = service.hub.submit(workloads(number), trials=TRIALS // 3).job
    until(lambda: _state(service) is WorkerState.SET_ASIDE, 60, "the host is set aside")
    stage.took("the sick host is set aside", time.monotonic() - began)
    [worker] = service.hub.client.workers()
    stage.require("disk" in str(worker.reason) or "write" in str(worker.reason), f"its reason is {worker.reason}")
    disk.heal()
    began = time.monotonic()
    until(lambda: _state(service) is not WorkerState.SET_ASIDE, 60, "the host is back")
    stage.took("it is back after it was well", time.monotonic() - began)
    _require_finished(stage, _await_end(service, job.id))


@scenario(times=3, databases=("sqlite",))
def service_away_60(stage: Stage) -> None:
    """The attempt goes on for the minute, and delivers what it measured."""
    with TemporaryDirectory(prefix="tilewright-away-") as folder, running_scheduler() as (url, _):
        logs = {"TILEWRIGHT_LOGS_DIR": f"{folder}/worker", "TILEWRIGHT_LOCKS_DIR": f"{folder}/locks"}
        with running_worker(url, environment(**logs)), TuningService(Path(folder), TILEWRIGHT_ENGINE=url) as service:
            job = service.hub.submit([*workloads(0), *workloads(1)], trials=TRIALS).job
            until(lambda: len(service.records(job.id)) > 5, 60, "the attempt is at work")
            acknowledged = service.records(job.id)
            service.kill()
            stage.counts["outages"] += 1
            time.sleep(60)
            service.start()
            began = time.monotonic()
            until(lambda: len(service.records(job.id)) > len(acknowledged), 30, "records arrive again")
            stage.took("records arrive after its return", time.monotonic() - began)
            ended = _await_end(service, job.id)
            stage.counts["records"] += len(service.records(job.id))
            stored = service.records(job.id)
            lost = [each for each in acknowledged if stored.get(each) != acknowledged[each]]
            stage.require(not lost, f"acknowledged records are gone or others: {lost}")
            stage.require(ended.attempt == 1, f"it took {ended.attempt} attempts")
            _require_finished(stage, ended)


def _state(service: ServiceProcess) -> WorkerState | None:
    assert isinstance(service, TuningService)
    return next((each.state for each in service.hub.client.workers()), None)


def _await_end(service: TuningService, job_id: int) -> Job:
    until(lambda: service.hub.client.job(job_id).state.is_final, 240, "the job has ended")
    return service.hub.client.job(job_id)


def _require_finished(stage: Stage, job: Job) -> None:
    stage.counts["jobs"] += 1
    stage.require(job.state is JobState.FINISHED, f"job {job.id} is {job.state}: {job.reason}")
    blamed = [each.name for each in job.workloads if each.tries]
    stage.require(not blamed, f"{blamed} were blamed")


class TuningDisk:
    """A small file system in memory; wants to be root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> "TuningDisk":
        self._folder.mkdir()
        self._mount("size=512m,mode=700")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", self._folder], capture_output=True, check=False)

    def fill(self) -> None:
        ballast = self._folder / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=1M"], capture_output=True, check=False)

    def close(self) -> None:
        self._mount("remount,ro")

    def heal(self) -> None:
        self._mount("remount,rw")
        with suppress(FileNotFoundError):
            (self._folder / "ballast").unlink()

    def _mount(self, options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self._folder], check=True)
