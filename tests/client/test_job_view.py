import io
import time

import pytest
from rich.console import Console

from tilewright.cli.job_view import job_view
from tilewright.cli.output import duration
from tilewright.contract.jobs import Job

from .examples import job


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
