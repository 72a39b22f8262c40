"""`tilewright jobs`, `watch` and `cancel`."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from tilewright.cli import stop_reasons
from tilewright.cli.column import Column, Kind
from tilewright.cli.fitted_table import FittedTable
from tilewright.cli.news import News
from tilewright.cli.options import AsJson, JobId, Url
from tilewright.cli.output import console, print_json, print_json_line, say_aside
from tilewright.cli.service import follow, open_client, require_success
from tilewright.contract.jobs import Job, JobState

if TYPE_CHECKING:
    from tilewright.http import Client

WATCH_EPILOG = f"""[bold]Examples[/]  tilewright watch 3  |  tilewright watch 3 --json | jq .type

{stop_reasons.EPILOG}
"""
COLUMNS = (
    Column("id"),
    Column("state", Kind.WORD),
    Column("what", Kind.NAME),
    Column("target", Kind.WORD, rank=3),
    Column("threads", rank=4),
    Column("done"),
    Column("trials", rank=2),
    Column("created", Kind.WORD, rank=1),
    Column("reason", Kind.PROSE, once=True),
)


def register(app: typer.Typer) -> None:
    app.command(epilog="[bold]Example[/]  tilewright jobs --state running")(jobs)
    app.command(epilog=WATCH_EPILOG)(watch)
    app.command(epilog="[bold]Example[/]  tilewright cancel 3")(cancel)


def jobs(
    state: Annotated[JobState | None, typer.Option(help="Only the jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the jobs of the service."""
    with open_client(url) as client:
        found = list(islice(client.jobs(state), limit))
    if as_json:
        print_json(found)
        return
    rows = FittedTable(*COLUMNS)
    for job in found:
        rows.add_row(*_row(job))
    nothing = "no jobs; `tilewright submit --help` tells how to make one" if state is None else f"no job is {state}"
    console().print(rows if found else nothing)


def watch(job_id: JobId, url: Url = None, as_json: AsJson = False) -> None:
    """Show the progress of a job until it ends; with --json its events, one a line.

    The exit code is 0 if the job finished and 1 if it failed or was cancelled.
    """
    with open_client(url) as client:
        require_success(_print_events(client, job_id) if as_json else follow(client, job_id))


def cancel(job_id: JobId, url: Url = None, as_json: AsJson = False) -> None:
    """Stop a job within seconds. Its records are kept; a workload whose search had not ended gets no schedule."""
    with open_client(url) as client:
        job = client.cancel(job_id)
    if as_json:
        print_json(job)
    else:
        typer.echo(f"job {job.id} is {job.state if job.state.is_final else 'being cancelled'}")


def _print_events(client: "Client", job_id: int) -> Job:
    news = News(client, job_id, say_aside)
    for event in news:
        if event is None:
            news.job()
        else:
            print_json_line(event)
    return client.job(job_id)


def _row(job: Job) -> tuple[str, ...]:
    return (
        str(job.id),
        job.state,
        _what(job),
        job.target,
        str(job.threads),
        f"{job.progress.workloads_done}/{job.progress.workloads}",
        str(job.progress.trials),
        f"{job.created_at.astimezone():%Y-%m-%d %H:%M}",
        first_line(job.reason or ""),
    )


def _what(job: Job) -> str:
    if job.network is not None or len(job.workloads) == 1:
        return job.network or job.workloads[0].name
    return f"{len(job.workloads)}: {job.workloads[0].name}, ..."


def first_line(reason: str) -> str:
    """A table has no room for a traceback; `tilewright watch` shows all of it."""
    line, _, rest = reason.partition("\n")
    return f"{line} …" if rest else line
