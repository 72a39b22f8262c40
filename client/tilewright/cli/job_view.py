"""A job while it runs: a live table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live

from tilewright.cli.job_screen import JobScreen, headline
from tilewright.cli.output import number, percent, say_aside
from tilewright.cli.stop_reasons import legend
from tilewright.cli.waiting import Waiting
from tilewright.contract.jobs import Job, JobState, JobWorkload, WorkloadState


class JobView(Protocol):
    def show(self, job: Job) -> None: ...

    def say(self, text: str) -> None:
        """Something beside the job."""


@contextmanager
def job_view(console: Console) -> Iterator[JobView]:
    if not console.is_terminal:
        yield PlainView(console)
        return
    # A screen costs some milliseconds of a core on which somebody may be measuring: only what is new is drawn.
    with Live(console=console, auto_refresh=False) as live:
        yield LiveView(live)


class LiveView:
    def __init__(self, live: Live) -> None:
        self._live = live
        self._waiting = Waiting()

    def show(self, job: Job) -> None:
        self._live.update(JobScreen(job, self._waiting.reason(job)), refresh=True)

    def say(self, text: str) -> None:
        self._live.console.print(text)  # above the screen, which anything else would tear


class PlainView:
    """One line when the job enters a state or waits for something else, and one for each workload that is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state: JobState | None = None
        self._waiting = Waiting()
        self._reason: str | None = None
        self._done: set[str] = set()

    def show(self, job: Job) -> None:
        reason = self._waiting.reason(job)
        if job.state is not self._state and not job.state.is_final:
            self._print(headline(job, reason))
        elif reason is not None and reason != self._reason:
            self._print(f"job {job.id}, {job.state}: {reason}")
        for workload in job.workloads:
            if workload.state is WorkloadState.DONE and workload.workload_id not in self._done:
                self._done.add(workload.workload_id)
                self._print(self._line(job, workload))
        if job.state is not self._state and job.state.is_final:
            self._print(legend(each.stop_reason for each in job.workloads))
            self._print(headline(job))
        self._state, self._reason = job.state, reason or self._reason

    def say(self, text: str) -> None:
        say_aside(text)

    def _line(self, job: Job, workload: JobWorkload) -> str:
        return (
            f"[{len(self._done)}/{job.progress.workloads}] {workload.name}: {workload.trials} trials, "
            f"best {number(workload.best_latency_us, 1, ' us')}, {number(workload.best_gmacs)} GMAC/s, "
            f"{percent(workload.share_of_peak)} of peak, {workload.stop_reason or 'done'}"
        )

    def _print(self, line: str | None) -> None:
        if line is not None:
            self._console.print(line, markup=False, soft_wrap=True)
