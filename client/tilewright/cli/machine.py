"""`tilewright doctor`: is this machine fit, and what would mend it?"""

import dataclasses
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from tilewright.cli.failures import FAILED
from tilewright.cli.interrupts import interruptible
from tilewright.cli.options import AsJson
from tilewright.cli.output import console, print_json, table

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
    rows = table("", "check", "found", "remedy", prose=("found", "remedy"))
    for check in done:
        sign = Text("ok", style="green") if check.ok else Text("no", style="red")
        rows.add_row(sign, check.name, check.detail, check.remedy or "")
    console().print(rows)
