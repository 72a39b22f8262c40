"""What a hostile or broken kernel may take of its host: one trial."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import psutil
import pytest

from tilewright.contract.candidates import Candidate, GenericTrace
from tilewright.contract.records import FailureKind
from tilewright.contract.workload import Workload
from tilewright.workloads.memory import SHARE_OF_HOST, bytes_needed, misfit
from tilewright_tuning.child_process import CommandFailed, ProcessEnded
from tilewright_tuning.cores import Cores
from tilewright_tuning.limits import Limits, container_limits, host_memory_bytes
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.trials import Failed, Measured, run_trials

from .examples import DENSE, TARGET, tiled

BUILD_SECONDS = 8.0
MIB = 2**20


class Runs(GenericTrace):
    """Its evaluator runs a function of this module as soon as it takes it in."""

    @property
    def function(self) -> Callable[..., Any]:
        function: Callable[..., Any] = globals()[str(self.trace[2])]
        return function

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, tuple(self.trace[3:])


def runs(function: Callable[..., Any], *arguments: Any) -> Candidate:
    return Runs(trace=[[], [], function.__name__, *arguments])


def allocate_without_end() -> None:
    kept = []
    while True:
        kept.append(b"\1" * (64 * MIB))


def map_without_end() -> None:
    """Memory that is shared, which is nobody's data."""
    import mmap

    kept = []
    while True:
        shared = mmap.mmap(-1, 1024 * MIB)
        kept.append(shared)


def fork_without_end(folder: str) -> None:
    while True:
        try:
            if os.fork() == 0:
                Path(folder, str(os.getpid())).touch()
        except PermissionError:
            os.execv("/bin/sleep", ["sleep", "60"])


def start_threads_without_end() -> None:
    import threading

    while True:
        threading.Thread(target=time.sleep, args=(60,)).start()


def print_without_end() -> None:
    while True:
        for descriptor in (1, 2):
            try:
                os.write(descriptor, b"and so on, and so on\n" * 1000)
            except OSError:
                os.lseek(descriptor, 0, os.SEEK_SET)


def write_without_end() -> None:
    """In memory: there is no other file that it may write."""
    file = os.memfd_create("large")
    while True:
        os.write(file, b"\1" * MIB)


def change_files(folder: str) -> None:
    """By whatever leads to one."""
    kept = f"{folder}/kept"
    for change in (
        lambda: Path(folder, "new").write_bytes(b""),
        lambda: os.open(kept, os.O_WRONLY | os.O_APPEND),
        lambda: os.open(kept, os.O_RDWR),
        lambda: os.open(folder, os.O_TMPFILE | os.O_WRONLY),
        lambda: os.open(kept, os.O_RDONLY | os.O_TRUNC),
        lambda: os.truncate(kept, 0),
        lambda: os.rename(kept, f"{folder}/moved"),
        lambda: os.link(kept, f"{folder}/linked"),
        lambda: os.symlink(kept, f"{folder}/linked"),
        lambda: os.mkdir(f"{folder}/made"),
        lambda: os.mkfifo(f"{folder}/made"),
        lambda: os.chmod(kept, 0),
        lambda: os.unlink(kept),
    ):
        try:
            change()
        except PermissionError:
            continue
        os._exit(7)
    with open(kept) as file:
        raise PermissionError(f"it only reads {file.read()}")


def signal_others(pid: int) -> None:
    for victim in (pid, -1, 0):
        try:
            os.kill(victim, 9)
        except PermissionError:
            continue
        os._exit(7)
    raise PermissionError("nobody else can be reached")


def answer_garbage(descriptor: int) -> None:
    """What looks like an answer of 2^63 bytes."""
    for each in range(3, 64):
        try:
            os.write(each, b"\x7f" + b"\xff" * 7 + b"garbage" * 100)
        except OSError:
            continue
    time.sleep(60)


def abort_with_words() -> None:
    os.write(2, b"LLVM ERROR: Cannot select: t1\n")
    ctypes.CDLL(None).abort()


@pytest.fixture(scope="module")
def pool() -> Iterator[EvaluatorPool]:
    with EvaluatorPool(Cores.of_this_process(1), build_seconds=BUILD_SECONDS) as pool:
        pool.prepare(DENSE, TARGET)
        yield pool


def failure_of(pool: EvaluatorPool, bad: Candidate) -> Failed:
    """Costs one trial: those beside it are measured, and nothing is left of it."""
    candidates = [tiled(4), bad, tiled(8)]
    trials = sorted(run_trials(pool, candidates), key=lambda trial: candidates.index(trial.candidate))
    before, failed, after = trials
    assert isinstance(before, Measured), before
    assert isinstance(after, Measured), after
    assert isinstance(failed, Failed)
    assert psutil.Process().memory_info().rss < 2 * 2**30
    return failed


@pytest.mark.alone
def test_memory_without_end_is_refused(pool: EvaluatorPool) -> None:
    for each in pool.evaluators:
        each._limits = Limits(memory_bytes=640 * MIB)
        each.stop()
    failed = failure_of(pool, runs(allocate_without_end))
    assert failed.kind is FailureKind.CRASH
    assert "MemoryError" in failed.reason
    failed = failure_of(pool, runs(map_without_end))
    assert "Cannot allocate memory" in failed.reason


@pytest.mark.alone
def test_threads_without_end_end_with_their_process(pool: EvaluatorPool) -> None:
    failed = failure_of(pool, runs(start_threads_without_end))
    assert failed.kind in (FailureKind.CRASH, FailureKind.TIMEOUT)
    assert psutil.Process().num_threads() < 50


def test_no_process_is_ever_started(pool: EvaluatorPool, tmp_path: Path) -> None:
    failed = failure_of(pool, runs(fork_without_end, str(tmp_path)))
    assert "PermissionError" in failed.reason
    assert list(tmp_path.iterdir()) == []


@pytest.mark.alone
def test_what_is_printed_without_end_fills_nothing_and_blocks_nobody(pool: EvaluatorPool) -> None:
    failed = failure_of(pool, runs(print_without_end))
    assert failed.kind is FailureKind.TIMEOUT


def test_a_file_without_end_ends_soon(pool: EvaluatorPool) -> None:
    failed = failure_of(pool, runs(write_without_end))
    assert "File too large" in failed.reason


def test_no_file_is_made_or_changed(pool: EvaluatorPool, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("what was there")
    failed = failure_of(pool, runs(change_files, str(tmp_path)))
    assert "it only reads what was there" in failed.reason
    assert [each.name for each in tmp_path.iterdir()] == ["kept"]


def test_no_other_process_is_reached(pool: EvaluatorPool) -> None:
    failed = failure_of(pool, runs(signal_others, os.getpid()))
    assert "nobody else can be reached" in failed.reason


def test_what_ends_its_process_while_it_is_measured_is_not_touched_again(pool: EvaluatorPool) -> None:
    candidate = tiled(16)
    pool.build(candidate)
    [evaluator] = [each for each in pool.evaluators if each.has_built(candidate)]
    assert evaluator.pid is not None
    Timer(0.5, os.kill, (evaluator.pid, signal.SIGSEGV)).start()
    with pytest.raises(ProcessEnded, match="SIGSEGV"):
        pool.measure(candidate, 100_000)
    with pytest.raises(CommandFailed, match="it has ended an evaluator before"):
        pool.measure(candidate, 1)


def test_an_answer_that_is_none_ends_its_process(pool: EvaluatorPool) -> None:
    failed = failure_of(pool, runs(answer_garbage, 0))
    assert failed.kind is FailureKind.CRASH
    assert "gave an answer that is none" in failed.reason


def test_what_a_process_said_before_it_died_is_a_part_of_the_reason(pool: EvaluatorPool) -> None:
    failed = failure_of(pool, runs(abort_with_words))
    assert failed.reason == "the process died of SIGABRT: LLVM ERROR: Cannot select: t1"


def test_a_container_of_less_memory_counts(tmp_path: Path) -> None:
    (tmp_path / "membership").write_text("0::/a/b\n")
    for folder, limit in (("", ""), ("a", "1000\n"), ("a/b", "max\n")):
        (tmp_path / "fs" / folder).mkdir(parents=True, exist_ok=True)
        if limit:
            (tmp_path / "fs" / folder / "memory.max").write_text(limit)
    assert container_limits(tmp_path / "fs", tmp_path / "membership") == [1000]
    assert container_limits(tmp_path / "nowhere", tmp_path / "nothing") == []


def test_a_workload_that_fits_no_host_like_this_says_so() -> None:
    assert misfit(DENSE, host_memory_bytes()) is None
    large = Workload(batch=1, in_channels=2**13, height=512, width=512, out_channels=64, kernel_size=1)
    sentence = misfit(large, 16 * 2**30)
    assert sentence is not None
    assert sentence.startswith(f"{large.name} needs about")
    assert bytes_needed(large) > 16 * 2**30 * SHARE_OF_HOST
