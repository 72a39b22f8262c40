"""`tilewright worker`: found by its entry point; imports what it needs when it is called."""

from typing import Annotated

import typer

from tilewright.cli.interrupts import end_on_signals
from tilewright.errors import InvalidRequest
from tilewright.parts import needing
from tilewright_worker.scheduler import check_scheduler_url


def worker(
    engine: Annotated[
        str,
        typer.Option(metavar="URL", envvar="TILEWRIGHT_ENGINE", help="The scheduler, such as tls://scheduler:8786."),
    ],
    insecure_engine: Annotated[
        bool,
        typer.Option(
            "--insecure-engine",
            envvar="TILEWRIGHT_INSECURE_ENGINE",
            help="Allow tcp:// to another machine, on a network where nobody else is.",
        ),
    ] = False,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            envvar="TILEWRIGHT_WORKER_PORT",
            help="Where the service asks this worker; 0 takes a free one. It listens on no other.",
        ),
    ] = 0,
) -> None:
    """Let this machine measure for a service elsewhere. Ctrl-C ends it with 130, SIGTERM with 0.

    What runs then is given 10 s to take leave; a second signal ends it at once. While the scheduler is away, what runs
    goes on, and the worker waits. It measures on the cores that it may use: give it some with taskset or systemd.
    TILEWRIGHT_LOGS_DIR (tuning_logs) gets a folder for each job, TILEWRIGHT_LOCKS_DIR the locks of the cores, which all
    workers of a machine share. For tls:// Dask's DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..__WORKER__CERT and
    ..__WORKER__KEY name the certificates; `tilewright admin certificates DIR` makes them.
    """
    end_on_signals()
    try:
        check_scheduler_url(engine)
    except ValueError as error:
        raise InvalidRequest(f"--engine {error}") from error
    with needing("worker"):
        import xgboost  # noqa: F401  (it would be missed only in the first attempt)

        from tilewright_worker.joining import run

    raise typer.Exit(run(engine, insecure_engine, port))


worker.epilog = "[bold]Example[/]  tilewright worker --engine tls://scheduler:8786"  # type: ignore[attr-defined]
