"""kill -9 on the way of a job of 40 trials; `make soak` kills at random instants of thirty jobs."""

import time
from pathlib import Path

import pytest

from .kill_round import Strike, play
from .tuning_service import TuningService


def test_a_job_whose_attempt_worker_and_server_are_killed_ends_well(service: TuningService) -> None:
    strikes = [
        Strike("attempt", after_records=5),
        Strike("worker", after_records=15),  # the end of the first workload is near
        Strike("server", after_records=25),
    ]
    outcome = play(service, 10, *strikes)
    assert outcome.struck == len(strikes)
    assert outcome.attempts > len(strikes)
    assert outcome.faults == []


@pytest.mark.soak
def test_a_worker_that_is_killed_again_comes_back_again(tmp_path: Path) -> None:
    with TuningService(tmp_path, DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT="2s") as service:
        assert service.kill_worker()
        remembered = time.monotonic() + 2
        assert comes_back(service)
        time.sleep(max(0.0, remembered - 0.2 - time.monotonic()))
        assert service.kill_worker()
        assert comes_back(service)


def comes_back(service: TuningService, seconds: float = 8) -> bool:
    deadline = time.monotonic() + seconds
    time.sleep(1)  # for the loss to be seen, and what comes of it
    while not service.has_worker() and time.monotonic() < deadline:
        time.sleep(0.05)
    return service.has_worker()
