"""kill -9 at random instants of a job of 40 trials; `make soak` does the same ten times each."""

import random
import time
from pathlib import Path

import pytest

from .kill_round import VICTIMS, play
from .tuning_service import TuningService

LATEST_SECONDS = 8.0
"""By then a job has started, and is not yet done."""


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_job_ends_well_when_something_is_killed(service: TuningService, victim: str) -> None:
    delay_seconds = random.uniform(0, LATEST_SECONDS)
    print(f"kills the {victim} after {delay_seconds:.2f} s")
    outcome = play(service, 10 + list(VICTIMS).index(victim), victim, delay_seconds)
    assert outcome.struck
    assert outcome.faults == []


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
