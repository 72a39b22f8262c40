"""Real attempts, as processes, with the real service."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import update

from tilewright.contract.attempts import Cause, LaunchOrder
from tilewright.contract.workers import AttemptKey
from tilewright.contract.workload import Workload
from tilewright_service.store.endings import end_attempt
from tilewright_service.store.tables import AttemptRow
from tilewright_worker.exit_codes import OF_MOMENT
from tilewright_worker.journal import Journal

from ..tuning.examples import DENSE, GROUPED
from .attempt_process import AttemptProcess, TuningService, tuning_service

LONG = Workload(batch=1, in_channels=64, height=56, width=56, out_channels=64, kernel_size=3, padding=1)
MANY_TRIALS = 5000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[TuningService]:
    with tuning_service(tmp_path) as service:
        yield service


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[LaunchOrder], AttemptProcess]]:
    begun: list[AttemptProcess] = []

    def begin(order: LaunchOrder) -> AttemptProcess:
        begun.append(AttemptProcess(order, tmp_path / "logs"))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def trials(service: TuningService, job_id: int) -> int:
    return sum(each["trials"] for each in service.job(job_id)["workloads"])


def test_a_job_is_tuned_workload_by_workload(
    service: TuningService, begin: Callable[[LaunchOrder], AttemptProcess], tmp_path: Path
) -> None:
    job_id = service.submit_workloads(DENSE, GROUPED)
    assert begin(service.order()).end() == (0, "")
    job = service.job(job_id)
    assert job["state"] == "finished"
    assert [(each["state"], each["trials"]) for each in job["workloads"]] == [("done", 3), ("done", 3)]
    assert list(Journal(tmp_path / "logs" / str(job_id)).unacknowledged()) == []


def test_an_attempt_that_is_asked_to_leave_does_so_within_seconds_and_is_not_blamed(
    service: TuningService, begin: Callable[[LaunchOrder], AttemptProcess]
) -> None:
    job_id = service.submit_workloads(LONG, trials=MANY_TRIALS)
    attempt = begin(service.order())
    wait_for(lambda: trials(service, job_id) > 0)
    children = psutil.Process(attempt.process.pid).children(recursive=True)
    asked = time.monotonic()
    attempt.process.send_signal(signal.SIGTERM)
    assert attempt.end() == (0, "")
    assert time.monotonic() - asked < 6
    job = service.job(job_id)
    [workload] = job["workloads"]
    assert (job["state"], workload["state"], workload["tries"]) == ("queued", "queued", 0)
    psutil.wait_procs(children, timeout=5)
    assert not [each for each in children if each.is_running()]


def test_an_attempt_that_was_overtaken_ends_without_blame(
    service: TuningService, begin: Callable[[LaunchOrder], AttemptProcess]
) -> None:
    job_id = service.submit_workloads(LONG, trials=MANY_TRIALS)
    order = service.order()
    attempt = begin(order)
    wait_for(lambda: trials(service, job_id) > 0)
    with service.database.writing() as session:
        assert end_attempt(session, AttemptKey(job_id=job_id, attempt=order.attempt), Cause.MOMENT, "it was lost")
    exit_code, said = attempt.end()
    assert exit_code == OF_MOMENT
    assert f"job {job_id}, attempt {order.attempt}" in said


def test_the_next_attempt_delivers_what_a_killed_one_could_not_also_for_another_job(
    service: TuningService, begin: Callable[[LaunchOrder], AttemptProcess], tmp_path: Path
) -> None:
    first = service.submit_workloads(LONG, trials=MANY_TRIALS)
    order = service.order()
    attempt = begin(order)
    wait_for(lambda: trials(service, first) > 2)
    attempt.kill()
    with service.database.writing() as session:
        end_attempt(session, AttemptKey(job_id=first, attempt=order.attempt), Cause.MOMENT, "it was lost")
        session.execute(update(AttemptRow).values(beats=0))
    service.http.post(f"/v1/jobs/{first}/cancel").raise_for_status()
    written = len((tmp_path / "logs" / str(first) / "records.jsonl").read_text().splitlines())
    second = service.submit_workloads(DENSE)
    assert begin(service.order()).end()[0] == 0
    assert trials(service, first) == written
    assert trials(service, second) == 3
