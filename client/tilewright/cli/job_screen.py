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
from tilewright.failed_workloads import reason_of

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
WORKLOAD_STYLE = {WorkloadState.RUNNING: "bold", WorkloadState.FAILED: "red"}
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
        for remark in (_count(rest), legend(each.stop_reason for each in shown), *_reasons(shown)):
            if remark:
                table.add_remark(remark)
        return Group(Text(headline(job, self.reason), style=STATE_STYLE[job.state]), _progress(job, width), table)


def headline(job: Job, reason: str | None = None) -> str:
    what = job.network or f"{len(job.workloads)} workload{'s' if len(job.workloads) > 1 else ''}"
    on = f"{job.threads} thread{'s' if job.threads > 1 else ''}"
    return f"job {job.id}: {what} for {job.target} on {on}, {_state(job)}{': ' + reason if reason else ''}"


def _state(job: Job) -> str:
    if job.state.is_final:
        return job.state
    state = "cancelling" if job.cancel_requested else job.state
    return f"{state} on {job.attempts_open} workers" if job.attempts_open > 1 else state


def workload_table(workloads: Sequence[JobWorkload], is_over: bool) -> FittedTable:
    result = FittedTable(*COLUMNS)
    for each in workloads:
        result.add_row(
            each.name,
            str(each.occurrences),
            _workload_state(each, is_over),
            str(each.trials),
            str(each.failed_trials),
            number(each.best_latency_us),
            number(each.best_gmacs),
            percent(each.share_of_peak),
            number(each.speedup_over_default),
            number(each.seconds),
            style=WORKLOAD_STYLE.get(each.state),
        )
    return result


def _workload_state(workload: JobWorkload, is_over: bool) -> str:
    if workload.stop_reason or workload.state.is_final:
        return workload.stop_reason or workload.state
    if is_over:
        return UNFINISHED
    return f"{workload.state}, try {workload.tries + 1}" if workload.tries else workload.state


def _around_the_present(workloads: Sequence[JobWorkload], rows: int) -> tuple[list[JobWorkload], list[JobWorkload]]:
    """What is tuned now, by however many, with some that were before it and those that are next; and the rest."""
    present = next((at for at, each in enumerate(workloads) if not each.state.is_final), len(workloads))
    nearest = sorted(range(len(workloads)), key=lambda at: _distance(workloads[at], at - present))
    shown = set(nearest[:rows])
    return (
        [each for at, each in enumerate(workloads) if at in shown],
        [each for at, each in enumerate(workloads) if at not in shown],
    )


def _distance(workload: JobWorkload, ahead: int) -> tuple[bool, int]:
    """What runs or failed comes first; of the others two that are next for each that was before."""
    is_telling = workload.state in (WorkloadState.RUNNING, WorkloadState.FAILED)
    return not is_telling, ahead if ahead >= 0 else -2 * ahead


def _count(rest: Sequence[JobWorkload]) -> str | None:
    if not rest:
        return None
    done, failed = (sum(each.state is state for each in rest) for state in (WorkloadState.DONE, WorkloadState.FAILED))
    also = f", {failed} failed" if failed else ""
    return f"and {len(rest)} more, {done} of them done{also}; the table at the end shows all"


def _reasons(shown: Sequence[JobWorkload]) -> list[str]:
    """Why those failed that did."""
    return [f"{each.name} failed: {reason_of(each)}" for each in shown if each.state is WorkloadState.FAILED]


def _progress(job: Job, width: int) -> RenderableType:
    progress = job.progress
    planned = "" if job.state.is_final else f" of {progress.trials_planned:,}"
    failed = f", {progress.workloads_failed} failed" if progress.workloads_failed else ""
    text = f"{progress.workloads_done} of {progress.workloads} workloads{failed}, {progress.trials:,}{planned} trials"
    if not job.state.is_final:
        left = "unknown" if progress.seconds_left is None else f"about {duration(progress.seconds_left)}"
        text += f", time left {left}"
    bar = ProgressBar(total=max(progress.workloads, 1), completed=_done(job), width=min(LONGEST_BAR, width // 6))
    line = Table.grid(padding=(0, 1, 0, 0))
    line.add_row(bar, text)
    return line


def _done(job: Job) -> float:
    """Workloads whose search is over, and of the others the part that their trials make up."""
    others = [each for each in job.workloads if not each.state.is_final]
    over = job.progress.workloads_done + job.progress.workloads_failed
    return over + sum(min(each.trials / job.trials, 1.0) for each in others)
