"""The short form of the bench, for every change; `make soak` plays all of it, many times, on both databases."""

import pytest

from . import scenarios  # noqa: F401  (they enter themselves)
from .stage import SCRIPTS

SHORT = (
    ("frozen_worker_process", "sqlite"),
    ("events_of_two_services", "postgresql"),
)


@pytest.mark.alone
@pytest.mark.parametrize(("name", "database"), SHORT)
def test_a_fault_is_paid_for_by_nobody_else(name: str, database: str) -> None:
    run = SCRIPTS[name].run(database, seed=1)  # type: ignore[arg-type]
    assert run is not None
    assert run.is_good, (run.faults, run.figures)
