"""What was tuned once costs nothing again: the real tuner, and the README's snippet after a job with its layer."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tilewright.contract.jobs import Job
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Quantization, reference

from ..system.tuning_service import TuningService
from .examples import CONV

COMMAND = (sys.executable, "-c", "from tilewright.cli import main; main()")
README = Path(__file__).parents[2] / "README.md"
LAYERS = [Workload.model_validate(CONV), Workload.model_validate({**CONV, "height": 14, "width": 14, "stride": [2, 2]})]
AT_ONCE_SECONDS = 1.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TuningService]:
    with TuningService(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def layers_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("layers") / "layers.json", LAYERS)


@pytest.fixture(scope="module")
def tuned(service: TuningService, layers_file: Path) -> Job:
    """With the default budget, as the snippet has it."""
    answer = run(service.url, "submit", "--workload", layers_file, "--wait", "--json")
    return Job.model_validate_json(answer.stdout)


def written(path: Path, layers: list[Workload]) -> Path:
    path.write_text(json.dumps([layer.model_dump(mode="json") for layer in layers]))
    return path


def run(url: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = (*COMMAND, *map(str, arguments))
    environment = {**os.environ, "TILEWRIGHT_URL": url}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)


def snippet() -> str:
    [code] = re.findall(r"```python\n(import tilewright\n.*?)```", README.read_text(), re.DOTALL)
    return str(code)


def test_the_snippet_of_the_readme_tunes_nothing_that_was_tuned(
    service: TuningService, tuned: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(3)
    names: dict[str, Any] = {
        "weight_oihw": random.integers(-128, 128, LAYERS[0].weight_shape).astype(np.int8),
        "b": random.integers(-1000, 1000, 64).astype(np.int32),
        "s": random.uniform(0.0005, 0.005, 64).astype(np.float32),
        "x": random.integers(0, 256, LAYERS[0].input_shape).astype(np.uint8),
    }
    monkeypatch.setenv("TILEWRIGHT_URL", service.url)
    exec(snippet(), names)
    names["hub"].close()
    job = service.hub.client.job(next(service.hub.jobs()).id)
    assert tuned.progress.trials > 0
    assert (job.progress.trials, job.attempt, list(service.hub.client.records(job.id))) == (0, 0, [])
    assert [each.known_from_job for each in job.workloads] == [tuned.id]
    assert job.workloads[0].schedule_id == tuned.workloads[0].schedule_id
    values = Quantization(names["weight_oihw"], names["b"], names["s"], data_zero_point=3, out_zero_point=0)
    np.testing.assert_array_equal(names["y"], reference(LAYERS[0], names["x"], values))


def test_a_known_layer_is_there_at_once(service: TuningService, tuned: Job) -> None:
    began = time.monotonic()
    job = service.hub.submit(LAYERS[1]).wait()
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert job.workloads[0].stop_reason == "known"


def test_a_target_that_auto_has_found_is_known_by_its_name(
    service: TuningService, tuned: Job, layers_file: Path
) -> None:
    [isa, _] = [schedule.target.isa for schedule in service.hub.client.schedules()]
    document = run(service.url, "submit", "--workload", layers_file, "--target", isa, "--json").stdout
    job = Job.model_validate_json(document)
    assert (job.state, [each.known_from_job for each in job.workloads]) == ("finished", [tuned.id, tuned.id])


@pytest.mark.soak
def test_the_command_line_says_which_part_was_known_and_from_where(
    service: TuningService, tuned: Job, layers_file: Path, tmp_path: Path
) -> None:
    other = written(tmp_path / "other.json", [*LAYERS, LAYERS[1].model_copy(update={"width": 20})])
    said = run(service.url, "submit", "--workload", other, "--wait").stdout
    assert f": 2 of 3 workloads are known already, from job {tuned.id}\n" in said
    reversed_file = written(tmp_path / "reversed.json", LAYERS[::-1])
    said = run(service.url, "submit", "--workload", reversed_file).stdout
    assert f"has nothing to do: 2 of 2 workloads are known already, from job {tuned.id}; " in said
    assert said.endswith(
        "`tilewright best --workload FILE` shows what was found; a larger --trials or --seconds goes on from there\n"
    )
    document = json.loads(run(service.url, "submit", "--workload", reversed_file, "--json").stdout)
    assert [each["known_from_job"] for each in document["workloads"]] == [tuned.id, tuned.id]
    empty = run(service.url, "export", "--job", document["id"])
    assert empty.stdout == ""
    assert "has no records of its own: 2 of 2 workloads are known already" in empty.stderr
    assert len(run(service.url, "export", "--job", tuned.id).stdout.splitlines()) == tuned.progress.trials
    assert "spent this budget already" in run(service.url, "submit", "--workload", layers_file).stdout
    watched = run(service.url, "watch", document["id"], "--json").stdout.splitlines()
    assert [json.loads(line)["type"] for line in watched] == ["queued", "workload_done", "workload_done", "finished"]


def test_more_trials_go_on_with_what_was_known(service: TuningService, tuned: Job) -> None:
    job = service.hub.submit(LAYERS[1], trials=tuned.trials + 1).wait(timeout=120)
    assert (job.attempt, job.workloads[0].known_from_job) == (1, None)
