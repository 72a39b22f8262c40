"""`tilewright doctor`: is this machine fit, or a service able to tune, and what would mend it?"""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from tilewright.cli.column import Column, Kind
from tilewright.cli.failures import FAILED
from tilewright.cli.fitted_table import FittedTable
from tilewright.cli.interrupts import interruptible
from tilewright.cli.options import AsJson
from tilewright.cli.output import console, print_json
from tilewright.cli.service import open_client

if TYPE_CHECKING:
    from tilewright.doctor import Check

EPILOG = "[bold]Examples[/]  tilewright doctor  |  tilewright doctor --url http://tuner:8000"


def register(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(doctor)


def doctor(
    url: Annotated[str | None, typer.Option(help="Look at this service instead, and at its workers.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell whether this machine and its packages are fit, and how to mend what is not.

    With --url it tells whether a service can tune now, what is away, and which of its workers take no work, and why.
    TILEWRIGHT_URL is not read. The exit code is then 1 when nothing can be tuned.
    """
    with interruptible():
        done = list(_machine_checks() if url is None else _service_checks(url))
    is_fit = all(check.ok for check in done) if url is None else done[-1].ok
    if as_json:
        print_json({"ok": is_fit, "checks": [dataclasses.asdict(check) for check in done]})
    else:
        _print_table(done)
    if not is_fit:
        raise typer.Exit(FAILED)


def _machine_checks() -> Iterator["Check"]:
    from tilewright.doctor import run_checks

    return run_checks()


def _service_checks(url: str) -> Iterator["Check"]:
    from tilewright.cli.service_checks import run_service_checks

    with open_client(url) as client:
        yield from run_service_checks(client)


def _print_table(done: list["Check"]) -> None:
    rows = FittedTable(Column("", Kind.WORD), Column("check", Kind.WORD), Column("found", Kind.PROSE))
    for check in done:
        rows.add_row(Text("ok", style="green") if check.ok else Text("no", style="red"), check.name, check.detail)
    console().print(rows)
    for check in done:
        if check.remedy:
            console().print(f"{check.name}: {check.remedy}", soft_wrap=True)
