"""A process that answers commands one at a time, and may crash or hang: its parent lives on, and starts another."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeVar

PR_SET_PDEATHSIG = 1
END_SECONDS = 1.0
"""What a process whose pipe has ended is given to end, too, and tell how."""

T = TypeVar("T")
State = TypeVar("State")
Answer = TypeVar("Answer", covariant=True)
ChildState = TypeVar("ChildState", contravariant=True)


class Command(Protocol[ChildState, Answer]):
    """Travels to a child, does its work there on what the child keeps, and knows the type of its answer."""

    def execute(self, state: ChildState, /) -> Answer:
        """Runs in the child. What it raises is raised in the parent as CommandFailed."""


class CallFailed(Exception):
    """A command gave no answer; why is a sentence to a person.

    CallFailed
    ├── CommandFailed   it raised; the process goes on
    ├── ProcessEnded    the process crashed
    └── NoAnswer        it took too long, so the process was killed
    """


class CommandFailed(CallFailed):
    pass


class ProcessEnded(CallFailed):
    pass


class NoAnswer(CallFailed):
    pass


@dataclass(frozen=True)
class Returned(Generic[T]):
    value: T


@dataclass(frozen=True)
class Raised:
    reason: str


class ChildProcess(Generic[State]):
    """The handle of a process that keeps a `State`."""

    def __init__(self, make_state: Callable[[], State], context: ForkServerContext | SpawnContext) -> None:
        """`make_state` runs in the child, and is pickled; what it raises is the answer to the first command."""
        self._make_state = make_state
        self._context = context
        self._process: BaseProcess | None = None
        self._exit_reason = "the process was not started"
        self.connection: Connection

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Nothing that an earlier process kept is there any more. Raises CallFailed."""
        self.connection, other_end = self._context.Pipe()
        arguments = (other_end, self._make_state)
        self._process = self._context.Process(target=_serve, args=arguments, daemon=True)
        try:
            self._process.start()
        except (EOFError, OSError) as error:  # no memory, or the server that it is forked from has ended
            self._process, self._exit_reason = None, f"no process could be started: {error!r}"
            raise ProcessEnded(self._exit_reason) from error
        other_end.close()

    def stop(self) -> None:
        self._end("the process was stopped")

    def run_on(self, cores: Collection[int]) -> None:
        """Move the process to these cores; threads that it starts later inherit them."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(self.pid, cores)

    def call(self, command: Command[State, T], timeout_seconds: float) -> T:
        """Send a command and wait for its answer. Raises CallFailed."""
        return self.begin(command, timeout_seconds).finish()

    def begin(self, command: Command[State, T], timeout_seconds: float) -> "Call[T]":
        """Send a command; several processes can then be waited for together, by the `connection` of their calls."""
        # A process that has ended shows when its answer is taken.
        if self._process is not None:
            with suppress(BrokenPipeError, ConnectionResetError):
                self.connection.send(command)
        return Call(self, timeout_seconds)

    def take_answer(self, call: "Call[T]") -> T:
        """What `call.finish()` does."""
        if self._process is None:
            raise ProcessEnded(self._exit_reason)
        if not self.connection.poll(call.seconds_left):
            # A late answer would be taken for that to the next command.
            self._end(f"no answer within {call.timeout_seconds:g} s")
            raise NoAnswer(self._exit_reason)
        try:
            reply: Returned[T] | Raised = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(END_SECONDS)
            self._end(_exit_reason(self._process.exitcode))
            raise ProcessEnded(self._exit_reason) from None
        if isinstance(reply, Raised):
            raise CommandFailed(reply.reason)
        return reply.value

    def _end(self, exit_reason: str) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self.connection.close()
            self._process, self._exit_reason = None, exit_reason


class Call(Generic[T]):
    """A command that was sent, and its deadline."""

    def __init__(self, process: ChildProcess[Any], timeout_seconds: float) -> None:
        self._process = process
        self.timeout_seconds = timeout_seconds
        self._deadline = time.monotonic() + timeout_seconds

    @property
    def connection(self) -> Connection:
        """Readable once there is an answer, or the process has ended."""
        return self._process.connection

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def finish(self) -> T:
        """Wait for the answer. Raises CallFailed."""
        return self._process.take_answer(self)


def _exit_reason(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"the process died of {signal.Signals(-exit_code).name}"
    return f"the process ended with exit code {exit_code}"


def _serve(connection: Connection, make_state: Callable[[], State]) -> None:
    """In the child: answer until the other end goes away."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError):
        try:
            state = make_state()
        except Exception as error:  # a library that is missing or does not load
            connection.recv()
            connection.send(_raised(error))
            return
        while True:
            connection.send(_reply(connection.recv(), state))


def _reply(command: Command[State, T], state: State) -> Returned[T] | Raised:
    try:
        return Returned(command.execute(state))
    except Exception as error:  # whatever TVM raises is the answer: it costs the command, not the process
        return _raised(error)


def _raised(error: Exception) -> Raised:
    return Raised(f"{type(error).__name__}: {last_line(str(error))}")


def last_line(text: str) -> str:
    """TVM puts whole modules into its messages; the reason stands at the end."""
    marker = text.rfind("Error message:")
    lines = text[max(marker, 0) :].strip().splitlines()
    return " ".join(lines)[:1000]
