"""What a child process does: it takes one command after the other, and answers each."""

import ctypes
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from tilewright_tuning.answers import Format, Raised, Returned, send_frame
from tilewright_tuning.limits import Limits
from tilewright_tuning.output_file import OutputFile

PR_SET_PDEATHSIG = 1

State = TypeVar("State")


@dataclass(frozen=True)
class Setting(Generic[State]):
    """What a child is started with; pickled."""

    make_state: Callable[[], State]
    answers: Format
    limits: Limits | None
    output: OutputFile | None


def serve(connection: Connection, setting: Setting[Any]) -> None:
    """Answer until the other end goes away."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    if setting.output is not None:
        setting.output.take_over()
    if setting.limits is not None:
        close_all_but(connection.fileno())
        setting.limits.apply()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            state = setting.make_state()
        except Exception as error:  # a library that is missing or does not load
            send_frame(connection.fileno(), setting.answers.write(_raised(error), connection.recv().answer))
            return
        while True:
            command = connection.recv()
            if setting.output is not None:
                setting.output.clear()
            send_frame(connection.fileno(), _answer(command, state, setting.answers))


def close_all_but(descriptor: int) -> None:
    """And the standard ones: others lead to the server that processes are forked from, which a single byte ends."""
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))


def _answer(command: Any, state: Any, answers: Format) -> bytes:
    try:
        return answers.write(Returned(command.execute(state)), command.answer)
    except Exception as error:  # whatever TVM raises is the answer: it costs the command, not the process
        return answers.write(_raised(error), command.answer)


def _raised(error: Exception) -> Raised:
    return Raised(f"{type(error).__name__}: {last_line(str(error))}")


def last_line(text: str) -> str:
    """TVM puts whole modules into its messages; the reason stands at the end."""
    marker = text.rfind("Error message:")
    lines = text[max(marker, 0) :].strip().splitlines()
    return " ".join(lines)[:1000]
