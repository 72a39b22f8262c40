"""What is seen of a job while it goes on: the real command against the real service, the attempt played by the test."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tilewright.contract.attempts import Finished, Interrupted, WorkloadFailure

from ..screen import COMMAND, CONTROL, Screen, screen_environment
from ..service.in_thread import ServiceInThread, serving
from .tuned_service import BUSY, begin, send_trials, tune

ROWS = 24
UP = re.compile(r"(?:\x1b\[1A\x1b\[2K)+")
"""How far the cursor goes back to draw the next frame over the last one."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceInThread]:
    with serving(tmp_path, capacity=BUSY) as service:
        yield service


@contextmanager
def watching(service: ServiceInThread, job_id: int) -> Iterator[Screen]:
    with Screen("watch", job_id, rows=ROWS, variables={"TILEWRIGHT_URL": service.url, "NO_COLOR": "1"}) as screen:
        yield screen


@contextmanager
def piped(service: ServiceInThread, *arguments: str, user: str = "bea") -> Iterator["subprocess.Popen[str]"]:
    command = (*COMMAND, *arguments)
    variables = screen_environment(TILEWRIGHT_URL=service.url, TILEWRIGHT_USER=user, PYTHONUNBUFFERED="1")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables) as process:
        try:
            yield process
        finally:
            process.kill()


def cancel(service: ServiceInThread, job_id: int) -> None:
    service.http.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()


@pytest.mark.parametrize("network", ["resnet50", "mobilenet_v2"])
def test_a_table_that_is_longer_than_the_screen_shows_the_present_and_at_the_end_all(
    service: ServiceInThread, network: str
) -> None:
    job = service.http.post("/v1/jobs", json={"network": network}).json()
    with begin(service) as attempt, watching(service, job["id"]) as screen:
        screen.wait_for("running")
        for index, each in enumerate(job["workloads"]):
            tune(attempt, each["workload_id"], index)
            if index in (3, 15):
                screen.wait_for(f"{index + 1} of {len(job['workloads'])} workloads")
        attempt.report_result(Finished())
        assert screen.end() == 0
    assert re.search(r"and \d+ more, \d+ of them done; the table at the end shows all", screen.shown)
    assert max(len(each) // len("\x1b[1A\x1b[2K") for each in UP.findall(screen.text)) < ROWS
    last_frame = CONTROL.sub("", UP.split(screen.text)[-1])
    assert len(re.findall(r"^n1_", last_frame, re.MULTILINE)) == len(job["workloads"])


def test_progress_moves_within_a_workload(service: ServiceInThread) -> None:
    job = service.submit(trials=40)
    with begin(service) as attempt, watching(service, job["id"]) as screen:
        for trials in (10, 20, 30):
            send_trials(attempt, job["workloads"][0]["workload_id"], range(trials))
            screen.wait_for(f"0 of 1 workloads, {trials} of 40 trials, time left ")
        tune(attempt, job["workloads"][0]["workload_id"], 30)
        attempt.report_result(Finished())
        assert screen.end() == 0
    bars = {trials: bar.count("━") for bar, trials in re.findall(r"(.*) 0 of 1 workloads, (.0) of", screen.shown)}
    assert 0 < bars["10"] < bars["20"] < bars["30"]
    assert "1 of 1 workloads, 41 trials" in screen.shown


def test_a_terminal_says_in_its_headline_what_is_waited_for_as_it_changes(service: ServiceInThread) -> None:
    first, second = service.submit(8)["id"], service.submit(9)["id"]
    with watching(service, second) as screen:
        screen.wait_for("queued: it waits: 1 job is before it")
        cancel(service, first)
        screen.wait_for("queued: it waits: no worker is free", seconds=10)


def test_a_pipe_gets_a_line_when_what_is_waited_for_changes_and_none_when_it_does_not(service: ServiceInThread) -> None:
    first, second = service.submit(8)["id"], service.submit(9)["id"]
    with piped(service, "watch", str(second)) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        cancel(service, first)
        lines.append(process.stdout.readline())
        time.sleep(5)
        cancel(service, second)
        lines += process.stdout.read().splitlines(keepends=True)
        assert process.wait() == 1
    assert lines == [
        "job 2: 1 workload for auto on 1 thread, queued: it waits: 1 job is before it\n",
        "job 2, queued: it waits: no worker is free\n",
        "job 2: 1 workload for auto on 1 thread, cancelled\n",
    ]


@pytest.mark.parametrize("arguments", [("watch", "1"), ("watch", "1", "--json")], ids=" ".join)
def test_a_service_that_has_gone_away_is_missed_after_some_seconds(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with ExitStack() as watched:
        with serving(tmp_path) as service:
            service.submit()
            process = watched.enter_context(piped(service, *arguments))
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
        gone = time.monotonic()
        notice = process.stderr.readline()
    assert notice == f"the service at {service.url} does not answer; it is waited for, 60 s at most\n"
    assert 1 < time.monotonic() - gone < 15


def test_on_a_terminal_the_notice_takes_the_place_of_the_screen_which_is_drawn_anew(tmp_path: Path) -> None:
    with ExitStack() as watched:
        with serving(tmp_path) as service:
            screen = watched.enter_context(watching(service, service.submit()["id"]))
            screen.wait_for("queued")
        screen.wait_for("does not answer")
    assert re.search(UP.pattern + "the service at http://", screen.text)


def test_several_attempts_at_one_job_are_shown_at_once_and_what_failed_with_its_reason(
    service: ServiceInThread,
) -> None:
    job = service.http.post("/v1/jobs", json={"network": "resnet18"}).json()
    first, second, *_ = (each["workload_id"] for each in job["workloads"])
    with begin(service) as one, begin(service) as other, watching(service, job["id"]) as screen:
        send_trials(one, first, range(5))
        send_trials(other, second, range(7))
        screen.wait_for("running on 2 workers")
        screen.wait_for("12 of 704 trials")
        one.report_failure(WorkloadFailure(workload_id=first, reason="the disk of rack 17 smells"))
        screen.wait_for("queued")
        cancel(service, job["id"])
        for attempt in (one, other):
            attempt.report_result(Interrupted())
        assert screen.end() == 1


def test_two_people_want_a_job_and_each_withdraws_for_himself(service: ServiceInThread) -> None:
    for user, said in (("bea", "job 1 is queued"), ("carl", "job 1 is queued")):
        assert said in spoken(service, user, "submit", "--network", "resnet18")
    assert service.job(1)["owners"] == ["bea", "carl"]
    assert "bea, carl" in spoken(service, "dora", "jobs")
    assert "job 1 is wanted by bea, carl, not by dora; `tilewright cancel 1 --everybody`" in spoken(
        service, "dora", "cancel", "1"
    )
    assert spoken(service, "bea", "cancel", "1").startswith("job 1 goes on for carl: you have withdrawn from it; ")
    assert spoken(service, "carl", "cancel", "1") == "job 1 is cancelled\n"
    assert spoken(service, "carl", "cancel", "1") == "job 1 is cancelled\n"


def spoken(service: ServiceInThread, user: str, *arguments: str) -> str:
    with piped(service, *arguments, user=user) as process:
        out, error = process.communicate(timeout=30)
    return out + error
