"""Every job comes to its end, whatever dies on the way. Real service, real Dask, real kills."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .running import CANCEL_SECONDS, RunningService
from .stand_in import CRASHES, HANGS, IGNORES_CANCEL

MOST_CPU = 0.05
"""Of a core, for a service and its worker that have nothing to do; it is some 0.005."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    service = RunningService(tmp_path_factory.mktemp("faults"))
    yield service
    service.stop()


def candidates(service: RunningService, job_id: int) -> list[str]:
    records = service.http.get(f"/v1/jobs/{job_id}/records?limit=200").json()["items"]
    return [record["candidate"] for record in records]


def assert_complete(service: RunningService, job_id: int, trials: int) -> None:
    job = service.job(job_id)
    found = candidates(service, job_id)
    assert job["progress"]["trials"] == trials
    assert len(found) == len(set(found)) == trials


def test_a_job_survives_the_death_of_its_attempt(service: RunningService) -> None:
    job = service.submit(height=20, trials=40)
    service.wait_for(job["id"], "running", trials=5)
    service.attempt_process().kill()
    assert service.wait_for(job["id"], "finished")["attempt"] == 2
    assert_complete(service, job["id"], 40)
    assert "requeued" in service.events(job["id"])


def test_a_job_survives_the_death_of_its_worker(service: RunningService) -> None:
    job = service.submit(height=21, trials=40)
    service.wait_for(job["id"], "running", trials=5)
    attempt = service.attempt_process()
    service.worker_process().kill()
    assert service.wait_for(job["id"], "finished")["attempt"] == 2
    assert_complete(service, job["id"], 40)
    assert not attempt.is_running()


def test_a_job_survives_the_death_of_the_service(service: RunningService) -> None:
    job = service.submit(height=22, trials=40)
    service.wait_for(job["id"], "running", trials=5)
    processes = service.processes()
    service.kill()
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
    service.start()
    assert service.wait_for(job["id"], "finished")["attempt"] == 2
    assert_complete(service, job["id"], 40)


def test_a_job_survives_a_restart_of_the_service(service: RunningService) -> None:
    job = service.submit(height=23, trials=40)
    service.wait_for(job["id"], "running", trials=5)
    assert service.stop() == 0
    service.start()
    assert service.wait_for(job["id"], "finished")["attempt"] == 2
    assert_complete(service, job["id"], 40)


def test_an_attempt_that_is_silent_loses_its_job(service: RunningService) -> None:
    job = service.submit(height=24, trials=40)
    service.wait_for(job["id"], "running", trials=2)
    attempt = service.attempt_process()
    attempt.suspend()
    assert service.wait_for(job["id"], "finished")["attempt"] == 2
    assert_complete(service, job["id"], 40)
    assert not attempt.is_running()


def test_a_job_whose_attempts_bring_nothing_fails_and_says_why(service: RunningService) -> None:
    job = service.wait_for(service.submit(height=CRASHES)["id"], "failed")
    assert job["attempt"] == 5
    assert "the stand-in crashes as it was told" in job["reason"]


@pytest.mark.parametrize("height", [25, HANGS, IGNORES_CANCEL])
def test_a_cancelled_job_ends_soon_after_its_attempt_should_have_and_keeps_its_records(
    service: RunningService, height: int
) -> None:
    job = service.submit(height=height, trials=1000)
    service.attempt_process()
    if height != HANGS:
        service.wait_for(job["id"], "running", trials=2)
    started = time.monotonic()
    service.http.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()
    job = service.wait_for(job["id"], "cancelled")
    assert time.monotonic() - started < CANCEL_SECONDS + 3
    assert len(candidates(service, job["id"])) == min(job["progress"]["trials"], 200)


def test_jobs_run_by_priority_then_age(service: RunningService) -> None:
    first = service.submit(height=30, trials=20)
    jobs = [service.submit(height=31 + number, trials=1, priority=number % 2) for number in range(4)]
    service.wait_for(first["id"], "finished")
    started = [service.wait_for(job["id"], "finished")["started_at"] for job in jobs]
    assert sorted(range(4), key=lambda number: started[number]) == [1, 3, 0, 2]


def test_a_job_for_more_cores_than_there_are_waits_and_says_so(service: RunningService) -> None:
    job = service.submit(threads=256)
    deadline = time.monotonic() + 5
    while service.job(job["id"])["reason"] is None and time.monotonic() < deadline:
        time.sleep(0.1)
    waiting = service.job(job["id"])
    assert waiting["state"] == "queued"
    assert "more threads than" in waiting["reason"]


def test_a_job_behind_others_says_so_until_it_runs(service: RunningService) -> None:
    first = service.submit(height=50, trials=40)
    service.wait_for(first["id"], "running", trials=1)
    second, third = (service.submit(height=51 + number, trials=20) for number in range(2))
    assert service.job(first["id"])["reason"] is None
    assert service.job(second["id"])["reason"] == f"it waits: job {first['id']} is running"
    assert service.job(third["id"])["reason"] == "it waits: 1 job is before it"
    assert service.wait_for(third["id"], "running", trials=1)["reason"] is None
    service.wait_for(third["id"], "finished")


def test_the_service_is_small_and_idle(service: RunningService) -> None:
    served = psutil.Process(service.process.pid)
    processes = [served, service.worker_process()]
    deadline = time.monotonic() + 20  # for what earlier tests have left to be cleared away
    while (used := cpu_seconds_of_a_second(processes)) > MOST_CPU and time.monotonic() < deadline:
        pass
    assert used <= MOST_CPU
    assert served.memory_info().rss < 160e6


def cpu_seconds_of_a_second(processes: list[psutil.Process]) -> float:
    """That they use together."""
    before = [sum(each.cpu_times()[:2]) for each in processes]
    time.sleep(1)
    return sum(sum(each.cpu_times()[:2]) for each in processes) - sum(before)


def test_the_files_of_a_service_are_private(service: RunningService) -> None:
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in service.data_dir.iterdir()}
    assert oct(Path(service.data_dir).stat().st_mode & 0o777) == "0o700"
    assert set(modes.values()) == {"0o600"}
