"""A process that answers commands one at a time, and may crash or hang: its parent lives on, and starts another."""

import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from errno import EAGAIN, EMFILE, ENFILE, ENOMEM
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Protocol, TypeVar

from tilewright_tuning.answers import BadAnswer, Format, PlainData, Raised, receive_frame
from tilewright_tuning.child_main import Setting, serve
from tilewright_tuning.limits import Limits
from tilewright_tuning.output_file import OutputFile
from tilewright_tuning.pulse import Pulse, Stopped

END_SECONDS = 1.0
"""What a process whose pipe has ended is given to end, too, and tell how."""

NO_ROOM = (EAGAIN, EMFILE, ENFILE, ENOMEM)
"""Why no process starts where the host has no room for one."""

T = TypeVar("T")
State = TypeVar("State")
Answer = TypeVar("Answer", covariant=True)
ChildState = TypeVar("ChildState", contravariant=True)


class Command(Protocol[ChildState, Answer]):
    """Travels to a child, does its work there on what the child keeps, and knows the type of its answer."""

    @property
    def answer(self) -> Any:
        """The type of what `execute` gives, for the format that answers are written in."""

    def execute(self, state: ChildState, /) -> Answer:
        """Runs in the child. What it raises is raised in the parent as CommandFailed."""


class CallFailed(Exception):
    """A command gave no answer; why is a sentence to a person.

    CallFailed
    ├── CommandFailed   it raised; the process goes on
    ├── ProcessEnded    the process crashed, or answered what nobody can read, and was killed
    └── NoAnswer        it took too long, so the process was killed
    """


class CommandFailed(CallFailed):
    pass


class ProcessEnded(CallFailed):
    pass


class NoAnswer(CallFailed):
    pass


class ChildProcess(Generic[State]):
    """The handle of a process that keeps a `State`.

    Commands are pickled, as the child trusts its parent; answers are plain data, as the parent does not trust its
    child, unless another format is given. What a child with limits prints is bounded, and a part of why it ended.
    """

    def __init__(
        self,
        make_state: Callable[[], State],
        context: ForkServerContext | SpawnContext,
        answers: Format | None = None,
        limits: Limits | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        """`make_state` runs in the child, and is pickled; what it raises is the answer to the first command.

        `pulse` beats with every command that is begun or answered.
        """
        self._make_state, self._context = make_state, context
        self._answers: Format = answers or PlainData()
        self._limits, self.pulse = limits, pulse or Pulse()
        self._process: BaseProcess | None = None
        self._output: OutputFile | None = None
        self._exit_reason = "the process was not started"
        self.connection: Connection

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Nothing that an earlier process kept is there any more.

        Raises ProcessEnded, Stopped, and OSError where the host has no room for a process.
        """
        self.pulse.check()
        self._end("the process was started again")
        self.connection, other_end = self._context.Pipe()
        self._output = None if self._limits is None else OutputFile()
        setting = Setting(self._make_state, self._answers, self._limits, self._output)
        self._process = self._context.Process(target=serve, args=(other_end, setting), daemon=True)
        try:
            self._process.start()
        except (EOFError, OSError) as error:  # no memory, or the server that it is forked from has ended
            self._process, self._exit_reason = None, f"no process could be started: {error!r}"
            self._close()
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise
            raise ProcessEnded(self._exit_reason) from error
        finally:
            other_end.close()

    def stop(self) -> None:
        self._end("the process was stopped")

    def run_on(self, cores: Collection[int]) -> None:
        """Move the process to these cores; threads that it starts later inherit them."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(self.pid, cores)

    def call(self, command: Command[State, T], timeout_seconds: float) -> T:
        """Send a command and wait for its answer. Raises CallFailed, and Stopped."""
        return self.begin(command, timeout_seconds).finish()

    def begin(self, command: Command[State, T], timeout_seconds: float) -> "Call[T]":
        """Send a command; several processes can then be waited for together, by the `connection` of their calls."""
        self.pulse.beat()
        # A process that has ended shows when its answer is taken.
        if self._process is not None:
            with suppress(BrokenPipeError, ConnectionResetError):
                self.connection.send(command)
        return Call(self, command, timeout_seconds)

    def take_answer(self, call: "Call[T]") -> T:
        """What `call.finish()` does."""
        if self._process is None:
            raise ProcessEnded(self._exit_reason)
        try:
            content = receive_frame(self.connection.fileno(), call.deadline, self.pulse.check)
            reply = self._answers.read(content, call.command.answer)
        except (TimeoutError, Stopped) as error:
            # A late answer would be taken for that to the next command.
            self._end(f"no answer within {call.timeout_seconds:g} s")
            if isinstance(error, Stopped):
                raise
            raise NoAnswer(self._exit_reason) from None
        except BadAnswer as error:
            self._end(f"the process gave an answer that is none: {error}")
            raise ProcessEnded(self._exit_reason) from None
        except (EOFError, ConnectionResetError):
            self._process.join(END_SECONDS)
            self._end(_exit_reason(self._process.exitcode, self._output.tail() if self._output else ""))
            raise ProcessEnded(self._exit_reason) from None
        self.pulse.beat()
        if isinstance(reply, Raised):
            raise CommandFailed(reply.reason)
        value: T = reply.value
        return value

    def _end(self, exit_reason: str) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._close()
            self._process, self._exit_reason = None, exit_reason

    def _close(self) -> None:
        self.connection.close()
        if self._output is not None:
            self._output.close()


class Call(Generic[T]):
    """A command that was sent, and its deadline."""

    def __init__(self, process: ChildProcess[Any], command: Command[Any, T], timeout_seconds: float) -> None:
        self._process = process
        self.command = command
        self.timeout_seconds = timeout_seconds
        self.deadline = time.monotonic() + timeout_seconds

    @property
    def connection(self) -> Connection:
        """Readable once there is an answer, or the process has ended."""
        return self._process.connection

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def finish(self) -> T:
        """Wait for the answer. Raises CallFailed, and Stopped."""
        return self._process.take_answer(self)


def _exit_reason(exit_code: int | None, output: str) -> str:
    said = f": {output}" if output else ""
    if exit_code is not None and exit_code < 0:
        return f"the process died of {signal.Signals(-exit_code).name}{said}"
    return f"the process ended with exit code {exit_code}{said}"
