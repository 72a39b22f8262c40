"""Ctrl-C ends every command with 130, at once and without a word that nobody needs."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ..terminal import TILEWRIGHT, Ended, Terminal
from .conftest import Call, Reply, ScriptedServer
from .examples import CONV, job

GOES_ON = "job 7 goes on: `tilewright watch 7` shows it, `tilewright cancel 7` stops it"
SECONDS = 2.0
"""A command may take to end; it takes 0.05 s on a machine that has nothing else to do."""

LOOK_SECONDS = 0.01
"""Between looks, so that the process that is looked at has the core."""


@pytest.fixture
def terminal(tmp_path: Path, server: ScriptedServer) -> Iterator[Terminal]:
    (tmp_path / "conv.json").write_text(json.dumps(CONV))
    with Terminal(tmp_path, TILEWRIGHT_URL=server.url) as terminal:
        yield terminal


@pytest.fixture
def silence() -> Iterator[Callable[[Call], Reply]]:
    """A reply that does not come before the test is over."""
    is_over = threading.Event()

    def reply(_: Call) -> Reply:
        is_over.wait()
        return Reply(200, "")

    yield reply
    is_over.set()


def interrupt(terminal: Terminal) -> Ended:
    terminal.press_ctrl_c()
    return terminal.await_end()


def await_library(process: psutil.Process, name: str) -> None:
    """Until the process has it loaded: it is in the middle of its imports then."""
    while name not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(LOOK_SECONDS)


def await_calls(server: ScriptedServer, count: int) -> None:
    while len(server.calls) < count:
        time.sleep(LOOK_SECONDS)


def test_ctrl_c_while_a_command_is_imported_is_quiet(terminal: Terminal) -> None:
    process = terminal.start("tilewright networks")
    await_library(process, "_pydantic_core")
    ended = interrupt(terminal)
    assert (ended.exit_code, ended.output) == (130, "")
    assert ended.seconds < SECONDS


@pytest.mark.parametrize(
    "command",
    ["jobs", "cancel 7", "best --workload ~/conv.json", "export", "submit --workload ~/conv.json", "watch 7 --json"],
)
def test_ctrl_c_during_a_request_is_quiet(
    terminal: Terminal, server: ScriptedServer, silence: Callable[[Call], Reply], command: str
) -> None:
    server.replies(silence)
    terminal.start(f"tilewright {command}")
    await_calls(server, 1)
    ended = interrupt(terminal)
    assert (ended.exit_code, ended.output) == (130, "")
    assert ended.seconds < SECONDS


def test_ctrl_c_while_a_workload_is_typed_is_quiet(terminal: Terminal) -> None:
    process = terminal.start("tilewright submit --workload -")
    await_library(process, "_pydantic_core")
    while process.status() != psutil.STATUS_SLEEPING:
        pass
    assert interrupt(terminal)[::2] == (130, "")


@pytest.mark.parametrize("command", ["watch 7", "submit --workload ~/conv.json --wait"])
def test_ctrl_c_while_a_job_is_shown_says_that_it_goes_on(
    terminal: Terminal, server: ScriptedServer, silence: Callable[[Call], Reply], command: str
) -> None:
    answers: list[Any] = [Reply(200, job("running")), silence]
    server.replies(*([Reply(201, job("queued"))] if command.startswith("submit") else []), *answers)
    terminal.start(f"tilewright {command}")
    terminal.await_text("running")
    ended = interrupt(terminal)
    assert ended.exit_code == 130
    assert ended.output.splitlines()[-1] == GOES_ON
    assert "Traceback" not in ended.output
    assert ended.seconds < SECONDS


def test_an_impatient_second_ctrl_c_changes_nothing(
    terminal: Terminal, server: ScriptedServer, silence: Callable[[Call], Reply]
) -> None:
    server.replies(Reply(200, job("running")), silence)
    terminal.start("tilewright watch 7")
    terminal.await_text("running")
    terminal.press_ctrl_c()
    ended = interrupt(terminal)
    assert ended.exit_code == 130
    assert GOES_ON in ended.output


def test_ctrl_c_ends_the_doctor_and_what_it_had_started(terminal: Terminal) -> None:
    doctor = terminal.start("tilewright doctor")
    while not doctor.children():
        pass
    ended = interrupt(terminal)
    assert (ended.exit_code, ended.output) == (130, "")
    assert terminal.left_over() == []


@pytest.mark.parametrize(("command", "calls"), [("jobs", 1), ("watch 7", 2)])
def test_what_was_started_without_ctrl_c_keeps_ignoring_it(
    server: ScriptedServer, silence: Callable[[Call], Reply], command: str, calls: int
) -> None:
    server.replies(*[Reply(200, job("running"))] * (calls - 1), silence)
    with subprocess.Popen(
        [TILEWRIGHT, *command.split(), "--url", server.url],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    ) as process:
        await_calls(server, calls)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.kill()


def test_the_help_names_the_exit_codes() -> None:
    text = subprocess.run([TILEWRIGHT, "--help"], capture_output=True, text=True, check=True).stdout
    assert "0 done, 1 failed, 2 wrong usage, 130 interrupted" in " ".join(text.split())
