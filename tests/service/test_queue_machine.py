"""Queue, leases and blame hold whatever happens in whatever order: see `queue_machine.py`."""

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade

from .queue_machine import QueueMachine

EXAMPLES, STEPS = 15, 40


def test_no_order_of_events_breaks_queue_and_leases(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tilewright.db'}")
    upgrade(database)
    QueueMachine.database = database
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    database.close()
