"""The worker of a service that has no other: a process that lives and dies with it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tilewright_service.dispatch.cluster import start_engine
from tilewright_service.dispatch.dask_engine import DaskEngine
from tilewright_service.settings import Settings

from .bench import key, order, wait_for

MODULE = "tests.engine.stand_in"
SERVICE = """
import sys, time
from tilewright_service.dispatch.cluster import start_engine
from tilewright_service.settings import Settings

engine = start_engine(Settings(logs_dir=sys.argv[1], attempt_module="tests.engine.stand_in"))
while not engine.view().members:
    time.sleep(0.05)
print("it is there", *(name for name in sys.modules if name in ("tvm", "xgboost")), flush=True)
time.sleep(600)
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaskEngine]:
    monkeypatch.setenv("TILEWRIGHT_LOCKS_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("TILEWRIGHT_TOKEN", "a-secret-of-the-service")
    (tmp_path / "logs").mkdir()
    engine = start_engine(Settings(logs_dir=tmp_path / "logs", attempt_module=MODULE))
    yield engine
    engine.close()


def embedded_process() -> psutil.Process | None:
    children = psutil.Process().children()
    return next((each for each in children if "tilewright_worker.embedded" in each.cmdline()), None)


def name_of(engine: DaskEngine) -> str:
    return wait_for(lambda: next(iter(engine.view().members), None))


def test_it_runs_attempts_and_ends_with_its_engine(engine: DaskEngine, tmp_path: Path) -> None:
    name = name_of(engine)
    engine.launch(name, order(1))
    wait_for(lambda: engine.view().members[name].report.running == [key(1)])
    wait_for((tmp_path / "logs" / "launches").exists)
    process = embedded_process()
    assert process is not None
    assert "TILEWRIGHT_TOKEN" not in process.environ()
    family = [process, *process.children(recursive=True)]
    assert len(family) == 2
    engine.close()
    assert psutil.wait_procs(family, timeout=5)[1] == []


def test_it_is_started_again_when_it_dies(engine: DaskEngine) -> None:
    before = name_of(engine)
    process = embedded_process()
    assert process is not None
    process.kill()
    away = wait_for(lambda: engine.view().away)
    assert away == "the worker of this service ended with -9; it is started again"
    after = wait_for(lambda: next(iter(set(engine.view().members) - {before}), None))
    wait_for(lambda: engine.view().away is None and list(engine.view().members) == [after])
    engine.launch(after, order(1))
    wait_for(lambda: engine.view().members[after].report.running == [key(1)])


def test_a_stray_line_of_its_output_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b'a library greets\n{"scheduler": 7}\n["scheduler"]\n\xff\n\n'
    (tmp_path / "sitecustomize.py").write_text(f"import os\nos.write(1, {lines!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TILEWRIGHT_LOCKS_DIR", str(tmp_path / "locks"))
    engine = start_engine(Settings(logs_dir=tmp_path, attempt_module=MODULE))
    try:
        before = name_of(engine)
        process = embedded_process()
        assert process is not None
        process.kill()
        wait_for(lambda: set(engine.view().members) - {before})
    finally:
        engine.close()


def test_nothing_of_it_outlives_a_service_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(tmp_path / "logs")], stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        said = service.stdout.readline()
        family = psutil.Process(service.pid).children(recursive=True)
        assert family
        service.kill()
    assert said == "it is there\n"  # and nothing that only attempts need
    assert psutil.wait_procs(family, timeout=5)[1] == []
