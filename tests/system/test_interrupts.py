"""Ctrl-C and SIGTERM end what runs until it is asked to, at any moment of its start, and nothing stays behind.

The moments are told by what a process has loaded or started, so that they are the same on a slow machine.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tilewright_service.data_dir import hold_data_dir

from ..terminal import Ended, Terminal
from .running_scheduler import running_scheduler, running_worker

MOST_SECONDS = 5.0
LOOK_SECONDS = 0.01
"""Between looks, so that the process that is looked at has the core."""
Moment = Callable[[Terminal, psutil.Process], None]


def loaded(library: str) -> Moment:
    def wait(_: Terminal, process: psutil.Process) -> None:
        while library not in Path(f"/proc/{process.pid}/maps").read_text():
            time.sleep(LOOK_SECONDS)

    return wait


def started(word: str) -> Moment:
    """A descendant with this in its command line."""

    def wait(_: Terminal, process: psutil.Process) -> None:
        while not any(word in " ".join(command_of(each)) for each in process.children(recursive=True)):
            time.sleep(LOOK_SECONDS)

    return wait


def said(word: str, seconds_ago: float = 0.0) -> Moment:
    def wait(terminal: Terminal, _: psutil.Process) -> None:
        terminal.await_text(word)
        time.sleep(seconds_ago)

    return wait


def command_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


SERVE_MOMENTS = {
    "the command is imported": loaded("_pydantic_core"),
    "the service is imported": loaded("/sqlalchemy/"),
    "Dask is imported": loaded("/tornado/"),
    "its worker is imported": started("tilewright_worker.embedded"),
    "it serves": said("logs  "),
    "it has served for a moment": said("logs  ", 1.0),
}
WORKER_MOMENTS = {
    "Dask is imported": loaded("/tornado/"),
    "it works": said("works for"),
}


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "data").mkdir()
    variables = {"TILEWRIGHT_PORT": "0", "TILEWRIGHT_DATA_DIR": str(tmp_path / "data")}
    with Terminal(tmp_path, **variables, TILEWRIGHT_LOCKS_DIR=str(tmp_path / "locks")) as terminal:
        yield terminal


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with running_scheduler() as (url, _):
        yield url


def interrupt(terminal: Terminal, command: str, moment: Moment) -> Ended:
    moment(terminal, terminal.start(command))
    terminal.press_ctrl_c()
    return terminal.await_end()


@pytest.mark.parametrize("moment", SERVE_MOMENTS)
def test_ctrl_c_ends_a_service_when(moment: str, terminal: Terminal, tmp_path: Path) -> None:
    ended = interrupt(terminal, "tilewright serve", SERVE_MOMENTS[moment])
    assert ended.exit_code == 130
    assert ended.seconds < MOST_SECONDS
    assert "Traceback" not in ended.output
    assert ended.output == "" or ended.output.startswith("Tilewright serves")
    assert len(ended.output.splitlines()) in (0, 4)
    assert terminal.left_over() == []
    with hold_data_dir(tmp_path / "data"):
        pass  # nobody else holds it


def test_a_second_ctrl_c_ends_a_service_at_once(terminal: Terminal) -> None:
    said("logs  ")(terminal, terminal.start("tilewright serve"))
    terminal.press_ctrl_c()
    time.sleep(0.2)
    terminal.press_ctrl_c()
    ended = terminal.await_end()
    assert (ended.exit_code, len(ended.output.splitlines())) == (130, 4)
    assert terminal.left_over() == []


def test_a_service_that_was_started_without_ctrl_c_ignores_it_and_ends_on_sigterm_with_0(terminal: Terminal) -> None:
    service = terminal.start("(trap '' INT; exec tilewright serve)")
    terminal.await_text("logs  ")
    terminal.press_ctrl_c()
    with pytest.raises(psutil.TimeoutExpired):
        service.wait(0.5)
    service.terminate()
    ended = terminal.await_end()
    assert (ended.exit_code, len(ended.output.splitlines())) == (0, 4)
    assert terminal.left_over() == []


@pytest.mark.parametrize("moment", WORKER_MOMENTS)
def test_ctrl_c_ends_a_worker_when(moment: str, terminal: Terminal, scheduler: str) -> None:
    ended = interrupt(terminal, f"tilewright worker --engine {scheduler}", WORKER_MOMENTS[moment])
    assert ended.exit_code == 130
    assert ended.seconds < MOST_SECONDS
    assert ended.output == "" or ended.output.endswith(f"works for {scheduler}")
    assert len(ended.output.splitlines()) <= 1
    assert terminal.left_over() == []


def test_ctrl_c_ends_a_worker_that_waits_for_its_scheduler(terminal: Terminal) -> None:
    ended = interrupt(terminal, "tilewright worker --engine tcp://127.0.0.1:1", said("joins as soon as"))
    assert ended.exit_code == 130
    assert ended.output.startswith("no scheduler answers at tcp://127.0.0.1:1; this worker waits for it")
    assert len(ended.output.splitlines()) == 1


def test_ctrl_c_ends_a_demo_with_its_service(terminal: Terminal) -> None:
    ended = interrupt(terminal, "TMPDIR=~ tilewright demo", started("tilewright_worker.embedded"))
    assert (ended.exit_code, ended.output) == (130, "")
    assert terminal.left_over() == []


def test_sigterm_ends_a_demo_with_its_service(terminal: Terminal) -> None:
    demo = terminal.start("TMPDIR=~ tilewright demo")
    started("tilewright_worker.embedded")(terminal, demo)
    demo.terminate()
    ended = terminal.await_end()
    assert (ended.exit_code, ended.output) == (128 + signal.SIGTERM, "")
    assert terminal.left_over() == []


def test_sigterm_ends_a_worker_with_0_and_without_a_word(scheduler: str) -> None:
    with running_worker(scheduler) as worker:
        worker.terminate()
        assert worker.communicate()[0] == ""
    assert worker.returncode == 0
