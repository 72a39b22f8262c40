"""The `tilewright` command as somebody at a terminal has it: a process with a pseudo-terminal of a given size."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Self

from .environment import environment

COMMAND = (sys.executable, "-c", "from tilewright.cli import main; main()")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""Colours, movements of the cursor, and what clears lines."""

DECIDE = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES")

LINE_END = re.compile(r"\n|\r(?=\x1b\[2K)")


class Screen:
    """Standard input, output and error of one process; `text` is what has come so far, with all control sequences."""

    def __init__(
        self, *arguments: object, columns: int = 80, rows: int = 24, variables: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=screen_environment(TERM="xterm-256color", **variables),
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    @property
    def shown(self) -> str:
        """All of it that can be read, frame after frame."""
        return CONTROL.sub("", self.text)

    @property
    def lines(self) -> list[str]:
        """Of all frames; another frame begins where the cursor goes back and clears the line."""
        return [CONTROL.sub("", line) for line in LINE_END.split(self.text)]

    def wait_for(self, words: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.shown:
            assert time.monotonic() < deadline, f"no {words!r} in {self.text}"
            assert self._read(), f"it ended without {words!r}: {self.text}"

    def end(self) -> int:
        """The exit code."""
        while self._read():
            pass
        return self.process.wait(timeout=30)

    def _read(self) -> bool:
        """Whether there is more to come."""
        if not select.select([self._master], [], [], 0.5)[0]:
            return True
        try:
            self.text += os.read(self._master, 65536).decode(errors="replace")
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


def screen_environment(**variables: str) -> dict[str, str]:
    """Without what would decide width and colour in place of the terminal."""
    return environment(*DECIDE, **variables)
