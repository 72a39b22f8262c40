"""A job as a terminal shows it: what it does, how far it is, and a row for each workload."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tilewright.cli.column import Column, Kind
from tilewright.cli.fitted_table import FittedTable
from tilewright.cli.output import X_DEFAULT, duration, number, percent
from tilewright.cli.stop_reasons import legend
from tilewright.contract.jobs import Job, JobState, JobWorkload, WorkloadState

STATE_STYLE = {
    JobState.QUEUED: "yellow",
    JobState.RUNNING: "cyan",
    JobState.FINISHED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}
COLUMNS = (
    Column("workload", Kind.NAME),
    Column("x", rank=6),
    Column("state", Kind.PROSE),
    Column("trials", rank=1),
    Column("failed", rank=5),
    Column("best us"),
    Column("GMAC/s", rank=2),
    Column("of peak"),
    Column("x default", rank=3, footnote=X_DEFAULT),
    Column("seconds", rank=4),
)
LONGEST_BAR = 30
UNFINISHED = "unfinished"
"""A workload whose search had not ended when its job was over."""


@dataclass(frozen=True)
class JobScreen:
    """As many workloads as the terminal is high for while the job goes on, and all of them at its end."""

    job: Job
    reason: str | None = None
    """What it waits for."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = len(self.job.workloads)
        if not self.job.state.is_final:
            rows = min(rows, console.height)
            while rows > 1 and (excess := self._height(console, options, rows) - console.height) > 0:
                rows = max(rows - excess, 1)
        yield self._with(rows, options.max_width)

    def _height(self, console: Console, options: ConsoleOptions, rows: int) -> int:
        return len(console.render_lines(self._with(rows, options.max_width), options, pad=False))

    def _with(self, rows: int, width: int) -> RenderableType:
        job = self.job
        shown, rest = _around_the_present(job.workloads, rows)
        table = workload_table(shown, job.state.is_final)
        for remark in (_count(rest), legend(each.stop_reason for each in shown)):
            if remark:
                table.add_remark(remark)
        return Group(Text(headline(job, self.reason), style=STATE_STYLE[job.state]), _progress(job, width), table)


def headline(job: Job, reason: str | None = None) -> str:
    what = job.network or f"{len(job.workloads)} workload{'s' if len(job.workloads) > 1 else ''}"
    on = f"{job.threads} thread{'s' if job.threads > 1 else ''}"
    state = "cancelling" if job.cancel_requested and not job.state.is_final else job.state
    return f"job {job.id}: {what} for {job.target} on {on}, {state}{': ' + reason if reason else ''}"


def workload_table(workloads: Sequence[JobWorkload], is_over: bool) -> FittedTable:
    result = FittedTable(*COLUMNS)
    for each in workloads:
        result.add_row(
            each.name,
            str(each.occurrences),
            each.stop_reason or (UNFINISHED if is_over else each.state),
            str(each.trials),
            str(each.failed_trials),
            number(each.best_latency_us),
            number(each.best_gmacs),
            percent(each.share_of_peak),
            number(each.speedup_over_default),
            number(each.seconds),
            style="bold" if each.state is WorkloadState.RUNNING else None,
        )
    return result


def _around_the_present(workloads: Sequence[JobWorkload], rows: int) -> tuple[Sequence[JobWorkload], list[JobWorkload]]:
    """What is tuned now, with some that were before it and those that are next; and the rest."""
    done = next((at for at, each in enumerate(workloads) if each.state is not WorkloadState.DONE), len(workloads))
    first = max(min(done - rows // 3, len(workloads) - rows), 0)
    return workloads[first : first + rows], [*workloads[:first], *workloads[first + rows :]]


def _count(rest: Sequence[JobWorkload]) -> str | None:
    if not rest:
        return None
    done = sum(each.state is WorkloadState.DONE for each in rest)
    return f"and {len(rest)} more, {done} of them done; the table at the end shows all"


def _progress(job: Job, width: int) -> RenderableType:
    progress = job.progress
    planned = "" if job.state.is_final else f" of {progress.trials_planned:,}"
    text = f"{progress.workloads_done} of {progress.workloads} workloads, {progress.trials:,}{planned} trials"
    if not job.state.is_final:
        left = "unknown" if progress.seconds_left is None else f"about {duration(progress.seconds_left)}"
        text += f", time left {left}"
    bar = ProgressBar(total=max(progress.workloads, 1), completed=_done(job), width=min(LONGEST_BAR, width // 6))
    line = Table.grid(padding=(0, 1, 0, 0))
    line.add_row(bar, text)
    return line


def _done(job: Job) -> float:
    """Workloads that are done, and of the others the part that their trials make up."""
    others = [each for each in job.workloads if each.state is not WorkloadState.DONE]
    return job.progress.workloads_done + sum(min(each.trials / job.trials, 1.0) for each in others)
