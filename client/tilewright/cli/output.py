"""How results reach the terminal."""

import json
from typing import Any

import typer
from pydantic import BaseModel
from rich.console import Console

PLAIN_WIDTH = 10_000
"""Of a file or a pipe, which get whole tables, a row a line."""

X_DEFAULT = "x default: times as fast as TVM's default (untuned) schedule; not a comparison with other libraries"


def console() -> Console:
    """Prints text as it is: what a service says may hold brackets and colons."""
    terminal = Console(highlight=False, markup=False, emoji=False)
    if not terminal.is_terminal:
        terminal.width = PLAIN_WIDTH
    return terminal


def say_aside(text: str) -> None:
    """To standard error, so that it is no part of the result."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


def print_json_line(value: Any) -> None:
    typer.echo(json.dumps(_plain(value), separators=(",", ":"), allow_nan=False))


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {rest:02}s" if minutes else f"{rest}s"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
