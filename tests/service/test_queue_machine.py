"""Queue, leases and blame hold whatever happens in whatever order: see `queue_machine.py`."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tilewright_service.store.database import Database

from ..conftest import SOAK
from .queue_machine import QueueMachine

EXAMPLES = {"sqlite": 8, "postgresql": 4}
EXAMPLES_OF_SOAK = 400
STEPS = 40


@pytest.fixture
def machine(database_url: str) -> Iterator[type[QueueMachine]]:
    database = Database(database_url)
    yield type("QueueMachineOnThis", (QueueMachine,), {"database": database})
    database.close()


@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_order_of_events_breaks_queue_and_leases(
    machine: type[QueueMachine], request: pytest.FixtureRequest
) -> None:
    is_soak = request.config.getoption("--hypothesis-profile") == SOAK
    examples = EXAMPLES_OF_SOAK if is_soak else EXAMPLES["sqlite" if machine.database.is_sqlite else "postgresql"]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not is_soak,
            suppress_health_check=list(HealthCheck),
        ),
    )
