"""An error that nobody expects, in a real attempt of a real service."""

from pathlib import Path

from tilewright.contract.events import ProgressEvent

from .examples import dense
from .tuning_service import TuningService

ROOT = Path(__file__).parents[2]
ERROR = "ValueError: cannot reshape array of size 3 into shape (2,2)"


def test_an_error_in_an_attempt_costs_one_try_of_its_workload_and_leaves_its_traceback(tmp_path: Path) -> None:
    module = {"TILEWRIGHT_ATTEMPT_MODULE": "tests.system.confused_attempt", "PYTHONPATH": str(ROOT)}
    with TuningService(tmp_path, **module) as service:
        job = service.hub.submit(dense(), trials=3).wait(timeout=60)
        events = [each.data for each in service.hub.client.events(job.id) if isinstance(each, ProgressEvent)]
        [reason] = {each.reason for each in events if each.reason}
        assert (job.attempt, job.progress.trials, job.workloads[0].reason) == (1, 3, None)
        assert ERROR in reason
        log = (service.logs_dir / str(job.id) / "errors.log").read_text()
    assert log.startswith("Traceback (most recent call last)")
    assert "raise_once" in log
    assert ERROR in log
