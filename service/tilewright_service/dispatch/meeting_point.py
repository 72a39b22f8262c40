"""Where an engine learns of its workers: a scheduler somewhere, or one that lives and dies with this service."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

LEFT_OUT = ("TILEWRIGHT_TOKEN", "TILEWRIGHT_DATABASE")
"""Of the environment: a worker has no need of them."""
RESTART_SECONDS = 1.0
CLOSE_SECONDS = 2.0


class MeetingPoint(Protocol):
    @property
    def address(self) -> str | None:
        """None while there is none."""

    @property
    def trouble(self) -> str | None:
        """Why there is none, to a person; None when that is as it should be."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class ExternalScheduler:
    """Others start and end it."""

    address: str
    trouble: str | None = None

    def close(self) -> None: ...


@dataclass(frozen=True)
class Nowhere:
    """Nothing can be tuned on this machine, and no other was named."""

    address: str | None = None
    trouble: str | None = None

    def close(self) -> None: ...


class EmbeddedProcess:
    """A process that holds scheduler and worker. It is started again when it ends, and ends with this one.

    It has a process group of its own: a terminal's Ctrl-C is for the service alone, which ends it.
    """

    def __init__(self, setup: dict[str, str], on_change: Callable[[], None] = lambda: None) -> None:
        self.on_change = on_change
        self.address: str | None = None
        self.trouble: str | None = None
        self._line = json.dumps(setup) + "\n"
        self._is_closing = False
        self._process = self._start()
        threading.Thread(target=self._watch, name="embedded", daemon=True).start()

    def close(self) -> None:
        self._is_closing = True
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "tilewright_worker.embedded"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            env={name: value for name, value in os.environ.items() if name not in LEFT_OUT},
            process_group=0,
        )
        assert process.stdin is not None
        try:
            process.stdin.write(self._line)
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which is seen next
        return process

    def _watch(self) -> None:
        while not self._is_closing:
            assert self._process.stdout is not None
            for line in self._process.stdout:
                if (address := _scheduler_in(line)) is not None:
                    self._say(address, None)
            exit_code = self._process.wait()
            if not self._is_closing:
                self._say(None, f"the worker of this service ended with {exit_code}; it is started again")
                self._start_again()

    def _start_again(self) -> None:
        while not self._is_closing:
            time.sleep(RESTART_SECONDS)
            try:
                self._process = self._start()
                break
            except OSError as error:
                self._say(None, f"the worker of this service cannot be started ({error.strerror}); it is tried again")
        if self._is_closing:
            self._process.kill()

    def _say(self, address: str | None, trouble: str | None) -> None:
        self.address, self.trouble = address, trouble
        self.on_change()


def _scheduler_in(line: str) -> str | None:
    """The address that an `EmbeddedReady` has; None for what some library may print there."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    address = said.get("scheduler") if isinstance(said, dict) else None
    return address if isinstance(address, str) else None
