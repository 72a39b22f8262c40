"""A process that builds and measures for us, and is replaced when it crashes or hangs."""

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from tilewright.contract.records import FailureKind

PR_SET_PDEATHSIG = 1


class EvaluationFailed(Exception):
    """A command did not give a value: an error, a crash or a timeout."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def fork_server() -> ForkServerContext:
    """Evaluators start from a process that has imported TVM already: in 10 ms, not in a second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tilewright_tuning.evaluation"])
    return context


class Evaluator:
    """One evaluator process; runs one command at a time, and can be waited for together with others."""

    def __init__(self, context: ForkServerContext) -> None:
        self._context = context
        self._process: ForkServerProcess | None = None
        self._deadline = 0.0
        self._seconds = 0.0
        self.connection: Connection

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Start the process. Nothing that an earlier one built or prepared is there any more."""
        self.connection, other_end = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(other_end,), daemon=True)
        self._process.start()
        other_end.close()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self.connection.close()
            self._process = None

    def run_on(self, cores: Collection[int]) -> None:
        """Move the process to these cores; threads that it starts later inherit them."""
        if self._process is not None and self._process.pid is not None:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(self._process.pid, cores)

    def begin(self, command: Any, timeout_seconds: float) -> None:
        """Send a command; `finish` gives its value once `connection` is readable or the deadline is over."""
        self._seconds = timeout_seconds
        self._deadline = time.monotonic() + timeout_seconds
        # A process that died meanwhile shows when its answer is read.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(command)

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def finish(self, kind: FailureKind) -> Any:
        """The value of the command. Raises EvaluationFailed, with `kind` for an error that the process reported.

        After a crash or a timeout the process is gone; `is_alive` tells.
        """
        if not self.connection.poll(self.seconds_left):
            self.stop()
            raise EvaluationFailed(FailureKind.TIMEOUT, f"no answer within {self._seconds:g} s")
        try:
            reply = self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise EvaluationFailed(FailureKind.CRASH, self._obituary()) from None
        if reply.error is not None:
            raise EvaluationFailed(kind, reply.error)
        return reply.value

    def call(self, command: Any, timeout_seconds: float, kind: FailureKind = FailureKind.RUN_ERROR) -> Any:
        """Send a command and wait for its value."""
        self.begin(command, timeout_seconds)
        return self.finish(kind)

    def _obituary(self) -> str:
        assert self._process is not None
        self._process.join(1.0)
        code = self._process.exitcode
        self.stop()
        if code is not None and code < 0:
            return f"the process died of {signal.Signals(-code).name}"
        return f"the process ended with exit code {code}"


def _serve(connection: Connection) -> None:
    """In the child. The import is free there: the fork server has done it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    from tilewright_tuning.evaluation import serve

    serve(connection)
