"""`tilewright doctor`: is this machine fit, and what would mend it?"""

import dataclasses
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from tilewright.cli.column import Column, Kind
from tilewright.cli.failures import FAILED
from tilewright.cli.fitted_table import FittedTable
from tilewright.cli.interrupts import interruptible
from tilewright.cli.options import AsJson
from tilewright.cli.output import console, print_json

if TYPE_CHECKING:
    from tilewright.doctor import Check


def register(app: typer.Typer) -> None:
    app.command(epilog="[bold]Example[/]  tilewright doctor")(doctor)


def doctor(as_json: AsJson = False) -> None:
    """Tell whether this machine and its packages are fit, and how to mend what is not."""
    from tilewright.doctor import run_checks

    with interruptible():
        done = list(run_checks())
    is_fit = all(check.ok for check in done)
    if as_json:
        print_json({"ok": is_fit, "checks": [dataclasses.asdict(check) for check in done]})
    else:
        _print_table(done)
    if not is_fit:
        raise typer.Exit(FAILED)


def _print_table(done: list["Check"]) -> None:
    rows = FittedTable(Column("", Kind.WORD), Column("check", Kind.WORD), Column("found", Kind.PROSE))
    for check in done:
        rows.add_row(Text("ok", style="green") if check.ok else Text("no", style="red"), check.name, check.detail)
    console().print(rows)
    for check in done:
        if check.remedy:
            console().print(f"{check.name}: {check.remedy}", soft_wrap=True)
