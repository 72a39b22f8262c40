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
from tilewright.failed_workloads import reason_of


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
    """One line when the job enters a state or waits for something else, and one for each workload that is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state: JobState | None = None
        self._waiting = Waiting()
        self._reason: str | None = None
        self._over: set[str] = set()

    def show(self, job: Job) -> None:
        reason = self._waiting.reason(job)
        if job.state is not self._state and not job.state.is_final:
            self._print(headline(job, reason))
        elif reason is not None and reason != self._reason:
            self._print(f"job {job.id}, {job.state}: {reason}")
        for workload in job.workloads:
            if workload.state.is_final and workload.workload_id not in self._over:
                self._over.add(workload.workload_id)
                self._print(f"[{len(self._over)}/{job.progress.workloads}] {workload.name}{_outcome(workload)}")
        if job.state is not self._state and job.state.is_final:
            self._print(legend(each.stop_reason for each in job.workloads))
            self._print(headline(job))
        self._state, self._reason = job.state, reason or self._reason

    def say(self, text: str) -> None:
        say_aside(text)

    def _print(self, line: str | None) -> None:
        if line is not None:
            self._console.print(line, markup=False, soft_wrap=True)


def _outcome(workload: JobWorkload) -> str:
    if workload.state is WorkloadState.FAILED:
        return f" failed: {reason_of(workload)}"
    return (
        f": {workload.trials} trials, best {number(workload.best_latency_us, 1, ' us')}, "
        f"{number(workload.best_gmacs)} GMAC/s, {percent(workload.share_of_peak)} of peak, "
        f"{workload.stop_reason or 'done'}"
    )
