"""`tilewright jobs`, `watch` and `cancel`."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from tilewright.cli import stop_reasons
from tilewright.cli.cancellation import outcome, refusal
from tilewright.cli.job_list import job_table
from tilewright.cli.news import News
from tilewright.cli.options import AsJson, JobId, Url
from tilewright.cli.output import console, print_json, print_json_line, say_aside
from tilewright.cli.service import follow, open_client, require_success
from tilewright.contract.jobs import Job, JobState
from tilewright.errors import Conflict

if TYPE_CHECKING:
    from tilewright.http import Client

WATCH_EPILOG = f"""[bold]Examples[/]  tilewright watch 3  |  tilewright watch 3 --json | jq .type

{stop_reasons.EPILOG}
"""


def register(app: typer.Typer) -> None:
    app.command(epilog="[bold]Example[/]  tilewright jobs --state running")(jobs)
    app.command(epilog=WATCH_EPILOG)(watch)
    app.command(epilog="[bold]Examples[/]  tilewright cancel 3  |  tilewright cancel 3 --everybody")(cancel)


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
    nothing = "no jobs; `tilewright submit --help` tells how to make one" if state is None else f"no job is {state}"
    console().print(job_table(found) if found else nothing)


def watch(job_id: JobId, url: Url = None, as_json: AsJson = False) -> None:
    """Show the progress of a job until it ends; with --json its events, one a line.

    The exit code is 0 if the job finished and 1 if it failed or was cancelled. A workload that cannot be tuned makes it
    fail in the end; the others keep what was found.
    """
    with open_client(url) as client:
        require_success(_print_events(client, job_id) if as_json else follow(client, job_id))


def cancel(
    job_id: JobId,
    everybody: Annotated[bool, typer.Option("--everybody", help="Also for the others who want it.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw from a job, which stops within seconds when nobody else wants it.

    Its records are kept; a workload whose search had not ended gets no schedule. TILEWRIGHT_USER says who withdraws,
    else the login name.
    """
    with open_client(url) as client:
        try:
            job = client.cancel(job_id, everybody)
        except Conflict as error:
            raise refusal(job_id, error) from error
    if as_json:
        print_json(job)
    else:
        typer.echo(outcome(job))


def _print_events(client: "Client", job_id: int) -> Job:
    news = News(client, job_id, say_aside)
    for event in news:
        if event is None:
            news.job()
        else:
            print_json_line(event)
    return client.job(job_id)
