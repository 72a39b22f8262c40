"""A real bash in a pseudo-terminal: what a person types there and sees, and what Ctrl-C reaches."""

import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psutil

from .environment import environment

TILEWRIGHT = Path(sys.executable).with_name("tilewright")
PATIENCE_SECONDS = 60.0
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROMPT = re.compile(r"<(\d+)>$")


class Ended(NamedTuple):
    exit_code: int
    seconds: float
    """Since Ctrl-C was pressed the last time."""
    output: str
    """Without what the prompt shows, and without the echo of what was typed."""


class Terminal:
    """Knows no `TILEWRIGHT_*` of whoever starts it, but those of `variables`. What runs in it is known by `mark`."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.mark = str(folder / f"logs-{uuid.uuid4().hex}")
        self._output, self._pressed_at = "", 0.0
        self._terminal, other_end = os.openpty()
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
            env={
                **environment(PATH=f"{TILEWRIGHT.parent}:{os.environ['PATH']}", HOME=str(folder)),
                "PS1": "<$?>",
                "TERM": "xterm",
                "TILEWRIGHT_LOGS_DIR": self.mark,  # attempts are given this one, and nothing else of ours
                **variables,
            },
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(other_end)
        self.await_text("<0>")

    def start(self, command: str) -> psutil.Process:
        """Returns once the program of the command is there."""
        self._output = ""
        self.type_in(f"{command}\n")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for process in psutil.Process(self._bash.pid).children():
                with suppress(psutil.NoSuchProcess):
                    if process.name() != "bash":
                        return process
        raise AssertionError(f"{command} did not start: {self._output}")

    def type_in(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def press_ctrl_c(self) -> None:
        self._pressed_at = time.monotonic()
        self.type_in("\x03")

    def await_text(self, text: str) -> str:
        """All that was shown since the last command was typed."""
        return self._await(re.compile(re.escape(text)))

    def await_end(self) -> Ended:
        shown = self._await(PROMPT)
        seconds = time.monotonic() - self._pressed_at
        output, _, prompt = shown.rpartition("<")
        return Ended(int(prompt.rstrip(">")), seconds, output.partition("\n")[2].replace("^C", "").strip())

    def left_over(self, seconds: float = 10.0) -> list[str]:
        """The processes that are still there after a moment."""
        deadline = time.monotonic() + seconds
        while (left := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _processes(self) -> list[str]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_ours = process.environ().get("TILEWRIGHT_LOGS_DIR") == self.mark and process.pid != self._bash.pid
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
        return found

    def _await(self, pattern: re.Pattern[str]) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not pattern.search(CONTROL.sub("", self._output)):
            assert time.monotonic() < deadline, f"{pattern.pattern} is not in {self._output!r}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                self._output += os.read(self._terminal, 65536).decode(errors="replace").replace("\r", "")
        return CONTROL.sub("", self._output)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in psutil.Process(self._bash.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._bash.kill()
        self._bash.wait()
        os.close(self._terminal)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests with & has it ignored
