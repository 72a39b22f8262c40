"""kill -9 at random instants of a job of 40 trials; `bench/kills.py` does the same ten times each."""

import random

import pytest

from .kill_round import VICTIMS, play
from .service_process import ServiceProcess

LATEST_SECONDS = 8.0
"""By then a job has started, and is not yet done."""


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_job_ends_well_when_something_is_killed(service: ServiceProcess, victim: str) -> None:
    delay_seconds = random.uniform(0, LATEST_SECONDS)
    print(f"kills the {victim} after {delay_seconds:.2f} s")
    outcome = play(service, 10 + list(VICTIMS).index(victim), victim, delay_seconds)
    assert outcome.struck
    assert outcome.faults == []
