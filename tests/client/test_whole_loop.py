"""The client and the command line against the real service on a real database; only the tuner is a stand-in."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tilewright
from tilewright import errors
from tilewright.contract.jobs import Job
from tilewright.contract.workload import Workload

from ..service.running import RunningService
from .examples import CONV

COMMAND = (sys.executable, "-c", "from tilewright.cli import main; main()")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = RunningService(tmp_path_factory.mktemp("service"))
    yield service.url
    assert service.stop() == 0


@pytest.fixture
def hub(url: str) -> tilewright.Hub:
    return tilewright.connect(url)


def run(url: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TILEWRIGHT_URL": url}
    command = (*COMMAND, *map(str, arguments))
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def conv(**changes: object) -> Workload:
    return Workload.model_validate({**CONV, **changes})


def test_a_workload_is_submitted_waited_for_and_looked_up(hub: tilewright.Hub) -> None:
    handle = hub.submit(conv(), trials=3)
    job = handle.wait(timeout=60)
    assert job.progress.trials == 3
    assert len(list(hub.client.records(job.id))) == 3
    schedule = hub.best(conv(), strict=True)
    assert schedule is not None
    assert hub.client.schedule(schedule.id).workload == conv()
    assert [each.id for each in hub.client.schedules(workload_id=conv().id)] == [schedule.id]
    assert [host.host_class for host in hub.client.hosts()] == [schedule.provenance.host_class]


def test_the_events_tell_the_story_and_go_on_from_any_point(hub: tilewright.Hub) -> None:
    handle = hub.submit(conv(out_channels=32), trials=3)
    story = list(handle.events())
    assert story[-1].type == "finished"
    assert list(handle.events(last_event_id=story[1].id)) == story[2:]
    assert list(handle.events(last_event_id=story[-1].id)) == []


def test_a_running_job_is_cancelled_and_keeps_its_records(hub: tilewright.Hub) -> None:
    handle = hub.submit(conv(out_channels=96), trials=10_000)
    assert next(event for event in handle.events() if event.type not in ("queued", "started"))
    handle.cancel()
    with pytest.raises(errors.JobCancelled):
        handle.wait(timeout=20)
    assert list(hub.client.records(handle.id))


def test_the_same_key_is_the_same_job_and_no_other(hub: tilewright.Hub) -> None:
    first = hub.submit(conv(batch=2), trials=1, idempotency_key="once")
    assert hub.submit(conv(batch=2), trials=1, idempotency_key="once").id == first.id
    with pytest.raises(errors.IdempotencyConflict):
        hub.submit(conv(batch=3), trials=1, idempotency_key="once")


def test_jobs_and_schedules_that_do_not_exist_are_not_found(hub: tilewright.Hub) -> None:
    for ask in (hub.client.job, hub.client.cancel, hub.client.schedule):
        with pytest.raises(errors.NotFound):
            ask(10**6)
    with pytest.raises(errors.NotFound):
        list(hub.client.events(10**6))
    with pytest.raises(errors.UnknownNetwork):
        hub.submit(network="vgg16")


def test_the_service_describes_itself(hub: tilewright.Hub) -> None:
    assert hub.client.is_healthy()
    assert hub.client.version() == tilewright.__version__
    assert {network.name: network.convolutions for network in hub.client.networks()}["resnet18"] == 20
    assert [worker.cores for worker in hub.client.workers()]


def test_a_network_goes_through_the_command_line(url: str) -> None:
    submitted = run(url, "submit", "--network", "resnet18", "--trials", 2, "--wait", "--json")
    assert submitted.returncode == 0, submitted.stderr
    job = Job.model_validate_json(submitted.stdout)
    assert job.progress.workloads_done == 11
    watched = run(url, "watch", job.id, "--json")
    assert json.loads(watched.stdout.splitlines()[-1])["type"] == "finished"
    assert run(url, "best", "--network", "resnet18", "--strict").returncode == 0
    assert run(url, "best", "--network", "resnet50", "--strict").returncode == 1
    assert len(run(url, "export", "--job", job.id).stdout.splitlines()) == job.progress.trials
    assert job.id in [each["id"] for each in json.loads(run(url, "jobs", "--json").stdout)]


def test_a_hub_that_nobody_closes_ends_without_a_warning(url: str) -> None:
    program = f"""
import tilewright
handle = tilewright.connect({url!r}).submit({CONV!r}, trials=1)
handle.wait(timeout=60)
del handle
hub = tilewright.connect({url!r})
next(hub.jobs())
"""
    command = (sys.executable, "-X", "dev", "-W", "error", "-c", program)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_leaves_the_job_running_and_says_how_to_come_back(url: str, hub: tilewright.Hub, tmp_path: Path) -> None:
    file = tmp_path / "conv.json"
    file.write_text(conv(out_channels=128).canonical_json)
    command = (*COMMAND, "submit", "--workload", str(file), "--trials", "10000", "--wait")
    environment = {**os.environ, "TILEWRIGHT_URL": url, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells have jobs in the background ignore it
    ) as process:
        assert process.stdout is not None
        assert "queued" in process.stdout.readline()
        assert "job" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in message
    said = re.search(r"tilewright cancel (\d+)", message)
    assert said is not None
    job = hub.job(int(said.group(1)))
    assert not job.state.is_final
    job.cancel()
