"""The table of `tilewright jobs`."""

from collections.abc import Callable, Sequence

from tilewright.cli.column import Column, Kind
from tilewright.cli.fitted_table import NOTHING, FittedTable
from tilewright.contract.jobs import JobSummary
from tilewright.failed_workloads import first_line

Cells = dict[Column, Callable[[JobSummary], str]]

ALWAYS: Cells = {
    Column("id"): lambda job: str(job.id),
    Column("state", Kind.WORD): lambda job: job.state,
    Column("what", Kind.NAME): lambda job: what(job),
    Column("target", Kind.WORD, rank=4): lambda job: job.target,
    Column("threads", rank=5): lambda job: str(job.threads),
    Column("done"): lambda job: f"{job.progress.workloads_done}/{job.progress.workloads}",
}
FAILED: Cells = {Column("failed"): lambda job: str(job.progress.workloads_failed)}
OWNERS: Cells = {Column("owners", Kind.PROSE, rank=2): lambda job: ", ".join(job.owners) or NOTHING}
LAST: Cells = {
    Column("trials", rank=3): lambda job: str(job.progress.trials),
    Column("created", Kind.WORD, rank=1): lambda job: f"{job.created_at.astimezone():%Y-%m-%d %H:%M}",
    Column("reason", Kind.PROSE, once=True): lambda job: first_line(job.reason or ""),
}


def job_table(jobs: Sequence[JobSummary]) -> FittedTable:
    """With a column for what failed where anything has, and for the owners where there are several people."""
    people = {owner for job in jobs for owner in job.owners}
    has_failed = any(job.progress.workloads_failed for job in jobs)
    cells = {**ALWAYS, **(FAILED if has_failed else {}), **(OWNERS if len(people) > 1 else {}), **LAST}
    rows = FittedTable(*cells)
    for job in jobs:
        rows.add_row(*(cell(job) for cell in cells.values()))
    return rows


def what(job: JobSummary) -> str:
    """What it tunes, as short as it goes."""
    count = job.progress.workloads
    if job.network is not None or job.first_workload is None:
        return job.network or f"{count} workload{'s' if count > 1 else ''}"
    return job.first_workload if count == 1 else f"{count}: {job.first_workload}, ..."
