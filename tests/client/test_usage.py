"""What people try first on the command line works, or says what they may have meant."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tilewright import __version__
from tilewright.cli.app import app


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def words(text: str) -> str:
    """Without the frame that goes around errors."""
    return " ".join(text.replace("│", " ").split())


def test_help_is_a_command_too() -> None:
    assert run("help").stdout == run("--help").stdout
    assert run("help", "submit").stdout == run("submit", "--help").stdout
    assert run("help", "help").exit_code == 0


def test_help_for_what_is_no_command_is_wrong_usage_and_names_the_near_one() -> None:
    result = run("help", "sumbit")
    assert result.exit_code == 2
    assert "Did you mean 'submit'?" in words(result.stderr)


@pytest.mark.parametrize("arguments", [("--version", "--json"), ("--json", "--version")])
def test_the_version_is_there_as_json(arguments: tuple[str, ...]) -> None:
    assert json.loads(run(*arguments).stdout) == {"version": __version__}


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["wach", "3"], "Did you mean 'watch'?"),
        (["submit", "--netwrok", "resnet18"], "--network"),
        (["submit", "resnet18"], "did you mean --network resnet18?"),
        (["best", "conv.json"], "did you mean --workload conv.json?"),
        (["jobs", "3"], "did you mean `tilewright watch 3`?"),
        (["export", "3"], "did you mean --job 3?"),
        (["cancel", "1", "2"], "there is no place for '2' here"),
        (["--url", "http://x", "jobs"], "the options of a command stand behind its name"),
        (["--json", "jobs"], "that of a command stands behind its name"),
        (["serve", "--host", "http://localhost"], "host: this is no name or address, such as 0.0.0.0"),
        (["serve", "--database", "mysql://x/y"], "this is no database URL, such as postgresql://user@host/name"),
        (["serve", "--engine", "127.0.0.1:8786"], "has to begin with tls:// or tcp://"),
        (["worker", "--engine", "127.0.0.1:8786"], "has to begin with tls:// or tcp://"),
        (["worker", "--engine", "tls://scheduler"], "has to name a host and a port"),
        (["worker", "--engine", "tcp://a:b"], "has to name a host and a port"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_near_miss_is_wrong_usage_and_says_what_may_have_been_meant(
    arguments: list[str], advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conv.json").touch()
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert advice in words(result.stderr)
