"""An error that nobody expects, in a real attempt of a real service."""

from pathlib import Path

from tilewright.contract.events import RequeuedEvent

from .examples import dense
from .tuning_service import TuningService

ROOT = Path(__file__).parents[2]


def test_a_value_error_in_an_attempt_is_a_crash_with_its_traceback_in_the_log_and_a_retry(tmp_path: Path) -> None:
    module = {"TILEWRIGHT_ATTEMPT_MODULE": "tests.system.confused_attempt", "PYTHONPATH": str(ROOT)}
    with TuningService(tmp_path, **module) as service:
        job = service.hub.submit(dense(), trials=3).wait(timeout=60)
        [requeued] = [event for event in service.hub.client.events(job.id) if isinstance(event, RequeuedEvent)]
        assert job.attempt == 2
        assert job.progress.trials == 3
    for said in (requeued.data.reason, (tmp_path / "service.log").read_text()):
        assert "Traceback (most recent call last)" in said
        assert "raise_in_first_attempt" in said
        assert "ValueError: cannot reshape array of size 3 into shape (2,2)" in said
