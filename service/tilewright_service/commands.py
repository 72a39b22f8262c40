"""`tilewright serve`: found by its entry point; imports what it needs when it is called."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from tilewright.cli.interrupts import end_on_signals
from tilewright.cli.options import AsJson
from tilewright.cli.output import print_json_line
from tilewright.errors import InvalidRequest
from tilewright.parts import needing

SERVE_EXAMPLES = """[bold]Examples[/]

tilewright serve

export TILEWRIGHT_TOKEN=... TILEWRIGHT_PUBLIC_URL=http://service:8000

tilewright serve --host 0.0.0.0 --database postgresql://tilewright@db/tilewright --engine tls://scheduler:8786
"""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default="8000")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Holds the SQLite database.", show_default="~/.local/share/tilewright"),
    ] = None,
    logs_dir: Annotated[
        Path | None, typer.Option(help="Gets a MetaSchedule database for each job.", show_default="tuning_logs")
    ] = None,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="postgresql://...", show_default="SQLite in the data directory")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(metavar="URL", help="tls://scheduler:8786", show_default="a cluster on this machine")
    ] = None,
    insecure_engine: Annotated[
        bool | None,
        typer.Option("--insecure-engine", help="Allow tcp:// to another machine, on a network where nobody else is."),
    ] = None,
    access_log: Annotated[
        bool | None, typer.Option("--access-log", help="Log each request on standard error.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the service; without options it needs nothing but this machine. Ctrl-C ends it with 130, SIGTERM with 0.

    Options can be set as TILEWRIGHT_HOST, TILEWRIGHT_PORT, TILEWRIGHT_DATA_DIR, TILEWRIGHT_LOGS_DIR,
    TILEWRIGHT_DATABASE and TILEWRIGHT_ENGINE, too. In the environment only: TILEWRIGHT_TOKEN, which every request then
    has to bring; TILEWRIGHT_PUBLIC_URL, where workers on other machines reach this service;
    TILEWRIGHT_LEASE_SECONDS (10), how long an attempt may be silent; TILEWRIGHT_STALL_SECONDS (600) and
    TILEWRIGHT_WORKLOAD_SECONDS (86400), how long it may take; and TILEWRIGHT_KEEP_..., what is deleted when
    (`tilewright admin prune --help`). docs/how-to/operate.md has a table of all, and how to run it for a team.

    For --engine tls://... Dask's
    DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..__CLIENT__CERT and ..__CLIENT__KEY name the certificates.
    """
    end_on_signals()
    with needing("service"):
        from tilewright_service.serve import say_address, serve
        from tilewright_service.settings import Settings
    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "logs_dir": logs_dir,
        "database": database,
        "engine": engine,
        "insecure_engine": insecure_engine,
    }
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise InvalidRequest.from_validation(error, Settings) from error

    raise typer.Exit(serve(settings, _print_address if as_json else partial(say_address, settings)))


serve.epilog = SERVE_EXAMPLES  # type: ignore[attr-defined]


def _print_address(url: str, public_url: str | None) -> None:
    print_json_line({"url": url, "public_url": public_url, "pid": os.getpid()})
