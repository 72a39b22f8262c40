"""All commands together."""

from typing import Annotated, Any

import typer

from tilewright import __version__
from tilewright.cli import jobs, machine, networks, schedules, submit
from tilewright.cli.failures import FailureGroup
from tilewright.cli.once import App
from tilewright.cli.output import print_json
from tilewright.parts import commands

EPILOG = """Start with [bold]tilewright demo[/], or [bold]tilewright serve[/] and, beside it, submit.

[bold]Environment[/]

TILEWRIGHT_URL: address of the service that commands ask; http://127.0.0.1:8000 without it.

TILEWRIGHT_TOKEN: the token of that service, where it has one.

TILEWRIGHT_USER: whose jobs they are that you submit and cancel; the login name without it.

TILEWRIGHT_CACHE_DIR: where programs keep the schedules that they were served.

TILEWRIGHT_DEBUG=1: where an unexpected error comes from.
"""

app = App(
    name="tilewright",
    cls=FailureGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(context: typer.Context, asked: bool) -> None:
    if asked:
        if context.params["as_json"]:
            print_json({"version": __version__})
        else:
            typer.echo(f"tilewright {__version__}")
        raise typer.Exit


@app.callback(epilog=EPILOG)
def tilewright(
    as_json: Annotated[
        bool,
        typer.Option("--json", help="With --version: as JSON. Commands have a --json of their own.", is_eager=True),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version)
    ] = False,
) -> None:
    """Tune int8 convolutions for CPUs and share what was found.

    `tilewright help submit` explains a command.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted with Ctrl-C.
    """
    if as_json:
        raise typer.BadParameter("--json goes with --version here; that of a command stands behind its name")


def _add(name: str, command: Any) -> None:
    """A function, or an app with commands of its own."""
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name, no_args_is_help=True)
    else:
        app.command(name, epilog=getattr(command, "epilog", None))(command)


for name, command in commands():
    _add(name, command)
for group in (submit, jobs, schedules, networks, machine):
    group.register(app)
