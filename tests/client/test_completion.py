"""What the tab key gives, in a real bash; for other shells what their scripts are answered."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..terminal import TILEWRIGHT, Terminal

MOST_SECONDS = 5
"""It takes 0.3 s on a machine that has nothing else to do."""


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    folder = tmp_path_factory.mktemp("home")
    with Terminal(folder, COLUMNS="200") as terminal:
        terminal.start("tilewright --install-completion")
        assert "bash completion installed" in terminal.await_end().output
        terminal.type_in("source ~/.bashrc\n")
        yield terminal


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("tilewright netw", "tilewright networks "),
        ("tilewright help expo", "tilewright help export "),
        ("tilewright submit --wor", "tilewright submit --workload "),
        ("tilewright submit --network mob", "tilewright submit --network mobilenet_v2 "),
        ("tilewright networks mob", "tilewright networks mobilenet_v2 "),
        ("tilewright submit --target aut", "tilewright submit --target auto "),
        ("tilewright best --isa avx512_", "tilewright best --isa avx512_vnni "),
        ("tilewright jobs --state canc", "tilewright jobs --state cancelled "),
        ("tilewright submit --workload ~/.bashr", "tilewright submit --workload ~/.bashrc "),
    ],
)
def test_the_tab_key_completes_in_bash(terminal: Terminal, typed: str, completed: str) -> None:
    terminal.type_in(f"{typed}\t")
    terminal.await_text(completed)
    terminal.type_in("\x15")  # takes the line back


def answer(**variables: str) -> str:
    began = time.monotonic()
    done = subprocess.run(
        [TILEWRIGHT], env={**os.environ, **variables}, capture_output=True, text=True, check=True, timeout=60
    )
    assert time.monotonic() - began < MOST_SECONDS
    assert done.stderr == ""
    return done.stdout


def test_zsh_is_given_names_with_their_help() -> None:
    words = answer(_TILEWRIGHT_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="tilewright netw")
    assert '"networks":"List the distinct convolutions' in words


def test_fish_is_given_names_and_values() -> None:
    variables = {"_TILEWRIGHT_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    words = answer(**variables, _TYPER_COMPLETE_ARGS="tilewright submit --network mob")
    assert words.strip() == "mobilenet_v2"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_of_another_shell_is_one_that_it_can_read(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = tmp_path / "completion"
    script.write_text(answer(_TILEWRIGHT_COMPLETE=f"source_{shell}"))
    subprocess.run([shell, "-n", script], check=True)
