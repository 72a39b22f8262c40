import io
import time
from typing import Any

import pytest
from rich.console import Console

from tilewright.cli.job_screen import JobScreen
from tilewright.cli.job_view import job_view
from tilewright.cli.output import duration
from tilewright.contract.jobs import Job

from .examples import job, job_of, job_workload


def shown(state: str, **changes: object) -> str:
    text = io.StringIO()
    with job_view(Console(file=text, force_terminal=True, color_system=None, width=160)) as view:
        view.show(Job.model_validate(job(state, **changes)))
    return text.getvalue()


def plain(*states: Job) -> list[str]:
    text = io.StringIO()
    with job_view(Console(file=text)) as view:
        for each in states:
            view.show(each)
    return text.getvalue().splitlines()


def test_a_running_job_shows_trials_best_share_of_peak_and_time_left() -> None:
    text = shown("running")
    for expected in (
        "job 7: 1 workload for auto on 1 thread, running",
        "123.4",
        "93.7",
        "81%",
        "time left about 12s",
    ):
        assert expected in text


def test_a_waiting_job_shows_why() -> None:
    assert "queued: no worker has [avx_vnni]" in shown("queued", reason="no worker has [avx_vnni]")


def test_a_job_that_is_being_cancelled_says_so() -> None:
    assert "cancelling" in shown("running", cancel_requested=True)


def test_a_job_that_ended_has_no_time_left() -> None:
    assert "time left" not in shown("finished")


def test_a_terminal_gets_a_live_table_that_stays() -> None:
    text = io.StringIO()
    with job_view(Console(file=text, force_terminal=True, width=160)) as view:
        view.show(Job.model_validate(job("running")))
        view.show(Job.model_validate(job("finished")))
    assert "job 7" in text.getvalue()
    assert "finished" in text.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.4, "0s"), (59.6, "1m 00s"), (61, "1m 01s"), (3600, "1h 00m"), (7325, "2h 02m")],
)
def test_durations_are_shown_in_units_for_people(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_without_a_terminal_a_line_tells_of_every_change_of_what_is_waited_for() -> None:
    alone, second, first = (
        Job.model_validate(job("queued", reason=reason))
        for reason in (None, "2 jobs are before it", "1 job is before it")
    )
    lines = plain(alone, second, second, first, first, alone, first)
    assert lines == [
        "job 7: 1 workload for auto on 1 thread, queued",
        "job 7, queued: 2 jobs are before it",
        "job 7, queued: 1 job is before it",
    ]


def test_a_job_that_waits_for_long_without_a_reason_waits_for_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilewright.cli.waiting.NOTICE_SECONDS", 0.01)
    text = io.StringIO()
    with job_view(Console(file=text)) as view:
        for _ in range(3):
            view.show(Job.model_validate(job("queued")))
            time.sleep(0.02)
    assert text.getvalue().splitlines() == [
        "job 7: 1 workload for auto on 1 thread, queued",
        "job 7, queued: it waits for a worker to take it",
    ]


def test_what_several_workers_are_at_is_shown_together_with_how_many_they_are() -> None:
    three = job_of(*(job_workload(batch=batch) for batch in (1, 2, 3)), attempts_open=3)
    text = shown_job(three)
    assert "running on 3 workers" in text
    assert text.count("  running ") == 3


def test_a_workload_that_failed_is_shown_with_its_reason_and_counted() -> None:
    failed = job_workload("failed", reason="the space cannot be prepared:\nTraceback ...")
    text = shown_job(job_of(failed, job_workload("done", 2, stop_reason="plateau"), job_workload("queued", 3)))
    assert "1 of 3 workloads, 1 failed, 9 of 192 trials" in text
    assert f"{failed['name']} failed: the space cannot be prepared: …" in text
    assert "Traceback" not in text


def test_a_workload_that_is_tried_again_says_so() -> None:
    assert "  queued, try 3 " in shown_job(job_of(job_workload("queued", tries=2, reason="it crashed")))


def test_a_low_terminal_shows_what_runs_wherever_it_stands_in_the_list_and_what_failed() -> None:
    states = {3: "failed", 20: "running", 41: "running"}
    many = [
        job_workload(states.get(at, "done" if at < 10 else "queued"), at + 1, reason="it broke") for at in range(60)
    ]
    lines = shown_job(job_of(*many), height=14).splitlines()
    assert len(lines) <= 14
    for at, state in states.items():
        assert any(many[at]["name"] in line and f"  {state} " in line for line in lines)
    assert any("of them done; the table at the end shows all" in line for line in lines)


def test_without_a_terminal_a_workload_that_failed_has_a_line_with_its_reason() -> None:
    failed, done = job_workload("failed", reason="it crashed:\nat length"), job_workload("done", 2)
    lines = plain(
        *(Job.model_validate(job_of(failed, each)) for each in (job_workload("running", 2), done)),
        Job.model_validate(job_of(failed, done, state="failed", reason="1 of its 2 workloads could not be tuned")),
    )
    assert lines == [
        "job 7: 2 workloads for auto on 1 thread, running",
        f"[1/2] {failed['name']} failed: it crashed: …",
        f"[2/2] {done['name']}: 3 trials, best 123.4 us, 93.7 GMAC/s, 81% of peak, done",
        "job 7: 2 workloads for auto on 1 thread, failed",
    ]


def shown_job(document: dict[str, Any], height: int = 50) -> str:
    text = io.StringIO()
    screen = JobScreen(Job.model_validate(document))
    Console(file=text, force_terminal=True, color_system=None, width=160, height=height).print(screen)
    return text.getvalue()
