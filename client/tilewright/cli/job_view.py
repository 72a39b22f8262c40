"""A job while it runs: a live table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tilewright.cli.output import duration, number, percent, table
from tilewright.contract.jobs import Job, JobState, JobWorkload, WorkloadState

STATE_STYLE = {
    JobState.QUEUED: "yellow",
    JobState.RUNNING: "cyan",
    JobState.FINISHED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}
NUMBERS = ("x", "trials", "failed", "best us", "GMAC/s", "of peak", "speed-up", "seconds")


class JobView(Protocol):
    def show(self, job: Job) -> None: ...


@contextmanager
def job_view(console: Console) -> Iterator[JobView]:
    if not console.is_terminal:
        yield PlainView(console)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield LiveView(live)


class LiveView:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, job: Job) -> None:
        self._live.update(render(job))


class PlainView:
    """One line when the job enters a state, and one for each workload that is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state: JobState | None = None
        self._done: set[str] = set()

    def show(self, job: Job) -> None:
        if job.state is not self._state and not job.state.is_final:
            self._print(headline(job))
        for workload in job.workloads:
            if workload.state is WorkloadState.DONE and workload.workload_id not in self._done:
                self._done.add(workload.workload_id)
                self._print(self._line(job, workload))
        if job.state is not self._state and job.state.is_final:
            self._print(headline(job))
        self._state = job.state

    def _line(self, job: Job, workload: JobWorkload) -> str:
        return (
            f"[{len(self._done)}/{job.progress.workloads}] {workload.name}: {workload.trials} trials, "
            f"best {number(workload.best_latency_us, 1, ' us')}, {number(workload.best_gmacs)} GMAC/s, "
            f"{percent(workload.share_of_peak)} of peak, {workload.stop_reason or 'done'}"
        )

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def render(job: Job) -> RenderableType:
    """The table comes last: where the terminal is too low for it, the rest still shows."""
    return Group(Text(headline(job), style=STATE_STYLE[job.state]), _progress(job), workload_table(job))


def headline(job: Job) -> str:
    what = job.network or f"{len(job.workloads)} workload{'s' if len(job.workloads) > 1 else ''}"
    on = f"{job.threads} thread{'s' if job.threads > 1 else ''}"
    state = "cancelling" if job.cancel_requested and not job.state.is_final else job.state
    reason = f": {job.reason}" if job.reason and not job.state.is_final else ""
    return f"job {job.id}: {what} for {job.target} on {on}, {state}{reason}"


def workload_table(job: Job) -> Table:
    columns = ("workload", "x", "state", "trials", "failed", "best us", "GMAC/s", "of peak", "speed-up", "seconds")
    result = table(*columns, numbers=NUMBERS)
    for each in job.workloads:
        result.add_row(
            each.name,
            str(each.occurrences),
            each.stop_reason or each.state,
            str(each.trials),
            str(each.failed_trials),
            number(each.best_latency_us),
            number(each.best_gmacs),
            percent(each.share_of_peak),
            number(each.speedup_over_default, 2, "x"),
            number(each.seconds),
            style="bold" if each.state is WorkloadState.RUNNING else None,
        )
    return result


def _progress(job: Job) -> RenderableType:
    progress = job.progress
    text = f" {progress.workloads_done} of {progress.workloads} workloads, {progress.trials} trials"
    if not job.state.is_final:
        left = "unknown" if progress.seconds_left is None else f"at most {duration(progress.seconds_left)}"
        text += f", time left {left}"
    line = Table.grid()
    line.add_row(ProgressBar(total=max(progress.workloads, 1), completed=_done(job), width=30), text)
    return line


def _done(job: Job) -> float:
    """Workloads that are done, and the part of the running ones that their trials make up."""
    running = [each for each in job.workloads if each.state is WorkloadState.RUNNING]
    return job.progress.workloads_done + sum(min(each.trials / job.trials, 1.0) for each in running)
