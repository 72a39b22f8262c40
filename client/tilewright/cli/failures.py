"""The one place where the command line says what went wrong."""

import os
from typing import Any

import typer
from typer.core import TyperGroup

from tilewright.cli import near_misses, wrong_values
from tilewright.cli.interrupts import INTERRUPTED, finish_line
from tilewright.errors import InvalidRequest, MissingPart, TilewrightError

FAILED = 1
WRONG_USAGE = 2


class FailureGroup(TyperGroup):
    """Turns exceptions of any command into one message on standard error and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`help` is `--help`, `help submit` is `submit --help`, and `help admin backup` is `admin backup --help`."""
        if args[:1] == ["help"]:
            named = [each for each in args[1:] if each != "help"]
            args = named if ctx.resilient_parsing else [*self._commands(named), "--help"]
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            near_misses.reword_at_root(error)
            raise

    def _commands(self, named: list[str]) -> list[str]:
        """The first, and where it has commands of its own the second."""
        return named[: 2 if hasattr(self.commands.get(named[0] if named else ""), "commands") else 1]

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            finish_line()
            raise typer.Exit(INTERRUPTED) from None
        except TilewrightError as error:
            _print(error.detail)
            raise typer.Exit(exit_code(error)) from error
        except BrokenPipeError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise typer.Exit(FAILED) from error
        except OSError as error:
            _print(str(error))
            raise typer.Exit(FAILED) from error
        except typer.TyperException as error:
            near_misses.reword(error)
            wrong_values.reword(error)
            raise
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if os.environ.get("TILEWRIGHT_DEBUG"):
                raise
            _print(f"this should not happen: {type(error).__name__}: {error}; TILEWRIGHT_DEBUG=1 shows where")
            raise typer.Exit(FAILED) from error


def exit_code(error: TilewrightError) -> int:
    return WRONG_USAGE if isinstance(error, (InvalidRequest, MissingPart)) else FAILED


def _print(message: str) -> None:
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(message, err=True)
