"""The service that a command asks, and what became of a job there.

The HTTP client takes as long to import as everything else of the command together, so `--help` does without it.
"""

from typing import TYPE_CHECKING

from tilewright.contract.jobs import Job

if TYPE_CHECKING:
    from tilewright.http import Client


def open_client(url: str | None) -> "Client":
    """Of the service at `url`, or where the environment says."""
    from tilewright.http import open_client

    return open_client(url)


def follow(client: "Client", job_id: int, show: bool = True) -> Job:
    """The job at its end; on the way there it is shown."""
    from tilewright.cli.following import follow

    return follow(client, job_id, show)


def require_success(job: Job) -> None:
    """Raises JobFailed or JobCancelled where it did not finish."""
    from tilewright.job_handle import require_success

    require_success(job)
