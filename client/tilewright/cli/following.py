"""Following a job until it ends."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

from tilewright.cli.interrupts import INTERRUPTED, interruptible
from tilewright.cli.job_view import job_view
from tilewright.cli.news import News
from tilewright.cli.output import console, say_aside
from tilewright.contract.jobs import Job
from tilewright.errors import ServerUnreachable, Unavailable

if TYPE_CHECKING:
    from tilewright.http import Client

LEAST_SECONDS = 0.25
"""Between two looks at the job, however many events there are."""


def follow(client: "Client", job_id: int, show: bool = True) -> Job:
    """The job at its end; on the way there it is shown. Ctrl-C stops the watching, not the job."""
    try:
        with interruptible():
            return show_to_end(client, job_id) if show else await_end(client, job_id)
    except KeyboardInterrupt:
        typer.echo(
            f"\njob {job_id} goes on: `tilewright watch {job_id}` shows it, `tilewright cancel {job_id}` stops it",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    except (ServerUnreachable, Unavailable) as error:
        back = f"job {job_id} goes on when the service is back: `tilewright watch {job_id}`"
        raise type(error)(f"{error.detail}; {back}") from error


def show_to_end(client: "Client", job_id: int) -> Job:
    with job_view(console()) as view:
        for job in snapshots(client, job_id, view.say):
            view.show(job)
    return job


def await_end(client: "Client", job_id: int) -> Job:
    *_, job = snapshots(client, job_id, say_aside)
    return job


def snapshots(client: "Client", job_id: int, say: Callable[[str], None]) -> Iterator[Job]:
    """The job now, again whenever something happened to it or nothing did for a while, and as it ended."""
    job = client.job(job_id)
    yield job
    if job.state.is_final:
        return
    news = News(client, job_id, say)
    last_look = time.monotonic()
    for event in news:
        if event is not None and time.monotonic() - last_look < LEAST_SECONDS:
            continue
        last_look = time.monotonic()
        job = news.job() or job
        yield job
    yield client.job(job_id)
