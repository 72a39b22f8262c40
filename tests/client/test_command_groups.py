"""A command of another package that has commands of its own, such as `tilewright admin backup`."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

GROUP = '''
"""Stands in for a group of another package."""

import typer

from tilewright.cli.once import App
from tilewright.errors import CannotStart

group = App(help="Look after the data of a service.")


@group.command(epilog="[bold]Example[/]  tilewright stand-in backup FILE")
def backup(file: str, level: int = 1) -> None:
    """Copy the database to a file."""
    typer.echo(f"{level} {file}")


@group.command()
def restore(file: str) -> None:
    """Bring a copy back."""
    raise CannotStart(f"{file} is no copy")
'''


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a distribution that brings the group along."""
    folder = tmp_path_factory.mktemp("distribution")
    (folder / "stand_in_commands.py").write_text(GROUP)
    metadata = folder / "stand_in-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stand-in\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[tilewright.commands]\nstand-in = stand_in_commands:group\n")
    return folder


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tilewright.cli", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "120", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=60)


def test_help_lists_a_group_with_a_line_at_once(installed: Path) -> None:
    began = time.monotonic()
    said = run(installed, "--help").stdout
    assert time.monotonic() - began < 5
    listed = [" ".join(line.strip("│").split()) for line in said.splitlines()]
    assert "stand-in Look after the data of a service." in listed


def test_a_group_without_a_command_shows_its_commands(installed: Path) -> None:
    for arguments in (("stand-in",), ("stand-in", "--help"), ("help", "stand-in")):
        said = run(installed, *arguments)
        assert "Copy the database to a file." in said.stdout + said.stderr
        assert "Bring a copy back." in said.stdout + said.stderr


def test_a_command_of_a_group_explains_itself_with_an_example(installed: Path) -> None:
    said = run(installed, "stand-in", "backup", "--help").stdout
    assert "Example  tilewright stand-in backup FILE" in said
    assert run(installed, "help", "stand-in", "backup").stdout == said


def test_a_command_of_a_group_runs(installed: Path) -> None:
    done = run(installed, "stand-in", "backup", "--level", "2", "file")
    assert (done.returncode, done.stdout) == (0, "2 file\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("stand-in", "restore", "file"), 1, "error: file is no copy"),
        (("stand-in", "backup"), 2, "Missing argument"),
        (("stand-in", "bakcup"), 2, "Did you mean 'backup'?"),
        (("stand-in", "backup", "file", "--level", "1", "--level", "2"), 2, "--level is given 2 times"),
        (("stand-in", "backup", "file", "--level", "x"), 2, "it has to be a whole number"),
        (("stand-in", "restore", "one", "two"), 2, "there is no place for 'two' here"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_goes_wrong_in_a_group_is_told_as_elsewhere(
    installed: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run(installed, *arguments)
    assert done.returncode == code
    assert words in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
