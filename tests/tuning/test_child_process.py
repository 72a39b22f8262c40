"""What a child process answers, and what its parent hears when it cannot."""

import multiprocessing
import os
import pickle
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Timer
from typing import Any, ClassVar

import pytest

from tilewright_tuning.answers import HEADER
from tilewright_tuning.child_process import ChildProcess, CommandFailed, NoAnswer, ProcessEnded
from tilewright_tuning.pulse import Stopped


class Counter:
    """What the child keeps."""

    def __init__(self) -> None:
        self.total = 0


@dataclass(frozen=True)
class Add:
    answer: ClassVar[Any] = int
    amount: int

    def execute(self, counter: Counter, /) -> int:
        counter.total += self.amount
        return counter.total


@dataclass(frozen=True)
class Sleep:
    answer: ClassVar[Any] = None
    seconds: float

    def execute(self, counter: Counter, /) -> None:
        time.sleep(self.seconds)


@dataclass(frozen=True)
class Die:
    answer: ClassVar[Any] = None
    number: signal.Signals

    def execute(self, counter: Counter, /) -> None:
        os.kill(os.getpid(), self.number)


@dataclass(frozen=True)
class Leave:
    answer: ClassVar[Any] = None
    exit_code: int

    def execute(self, counter: Counter, /) -> None:
        os._exit(self.exit_code)


class Unpickled:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


@dataclass(frozen=True)
class AnswerInstead:
    """Writes something else than the answer that it promises."""

    answer: ClassVar[Any] = list[int]
    content: bytes
    header: bytes | None = None

    def execute(self, counter: Counter, /) -> list[int]:
        header = HEADER.pack(len(self.content)) if self.header is None else self.header
        for descriptor in range(3, 32):
            with suppress(OSError):
                if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                    os.write(descriptor, header + self.content)
        time.sleep(60)
        return []


def refuse_to_load() -> Counter:
    raise ImportError("no such library")


@pytest.fixture
def child() -> Iterator[ChildProcess[Counter]]:
    child = ChildProcess(Counter, multiprocessing.get_context("forkserver"))
    child.start()
    yield child
    child.stop()


def test_commands_are_answered_one_after_the_other(child: ChildProcess[Counter]) -> None:
    assert [child.call(Add(amount), 10) for amount in (1, 2, 3)] == [1, 3, 6]


def test_an_error_is_an_answer_and_the_process_goes_on(child: ChildProcess[Counter]) -> None:
    with pytest.raises(CommandFailed, match="ValueError: sleep length must be non-negative"):
        child.call(Sleep(-1), 10)
    assert child.call(Add(1), 10) == 1


def test_a_process_that_dies_says_of_what(child: ChildProcess[Counter]) -> None:
    for _ in range(2):
        with pytest.raises(ProcessEnded, match="the process died of SIGSEGV"):
            child.call(Die(signal.SIGSEGV), 10)
        assert not child.is_alive


def test_a_process_that_exits_says_with_which_code(child: ChildProcess[Counter]) -> None:
    with pytest.raises(ProcessEnded, match="exit code 3"):
        child.call(Leave(3), 10)


def test_a_command_without_an_answer_ends_the_process_at_its_deadline(child: ChildProcess[Counter]) -> None:
    started = time.monotonic()
    with pytest.raises(NoAnswer, match=r"within 0\.2 s"):
        child.call(Sleep(60), 0.2)
    assert time.monotonic() - started < 30
    assert not child.is_alive


def test_a_process_that_is_started_again_has_forgotten_everything(child: ChildProcess[Counter]) -> None:
    child.call(Add(5), 10)
    child.stop()
    child.start()
    assert child.call(Add(1), 10) == 1


def test_a_state_that_cannot_be_made_is_the_answer_to_the_first_command() -> None:
    child = ChildProcess(refuse_to_load, multiprocessing.get_context("forkserver"))
    child.start()
    with pytest.raises(CommandFailed, match="ImportError: no such library"):
        child.call(Add(1), 10)
    child.stop()


@pytest.mark.parametrize(
    "answer",
    [
        AnswerInstead(pickle.dumps(Unpickled())),
        AnswerInstead(b"[1, 2]"),
        AnswerInstead(b'{"value": ["text"]}'),
        AnswerInstead(b'{"value": [1], "and": 2}'),
        AnswerInstead(b"[" * 100_000),
        AnswerInstead(b"", header=b"\xff" * 8),
    ],
    ids=["pickled", "bare", "of another type", "with more", "deep", "endless"],
)
def test_an_answer_that_is_not_what_was_promised_ends_its_process(
    child: ChildProcess[Counter], answer: AnswerInstead
) -> None:
    with pytest.raises(ProcessEnded, match="gave an answer that is none"):
        child.call(answer, 10)
    assert not child.is_alive


def test_an_answer_that_never_comes_to_its_end_is_none(child: ChildProcess[Counter]) -> None:
    with pytest.raises(NoAnswer):
        child.call(AnswerInstead(b"[1", header=HEADER.pack(100)), 1.0)


def test_who_is_stopped_waits_for_no_answer(child: ChildProcess[Counter]) -> None:
    Timer(0.5, child.pulse.stop).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        child.call(Sleep(60), 60)
    assert time.monotonic() - began < 10
    assert not child.is_alive
    with pytest.raises(Stopped):
        child.start()


def test_a_pulse_beats_with_each_command_and_each_answer(child: ChildProcess[Counter]) -> None:
    before = child.pulse.steps
    call = child.begin(Add(1), 10)
    assert child.pulse.steps == before + 1
    call.finish()
    assert child.pulse.steps == before + 2
