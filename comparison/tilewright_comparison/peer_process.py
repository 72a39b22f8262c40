"""A library in a process of its own, which is stopped while the others run.

Every library spins for a while on the threads of its pool, in the hope of more work. Two such pools on the same cores
spoil each other's figures, so only one process of a comparison is ever awake.
"""

import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from tilewright.contract.candidates import Candidate
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_comparison.peers import PEERS, Runnable
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_tuning.answers import Pickled
from tilewright_tuning.child_process import ChildProcess, Command
from tilewright_tuning.cores import TASKS, read_scheduled_ns

OURS = "tilewright"
ONE_PIXEL = Workload(batch=1, in_channels=1, height=1, width=1, out_channels=1, kernel_size=(1, 1))
WARM_UP_SECONDS = 0.002
SAMPLE_SECONDS = 0.006
ANSWER_SECONDS = 120.0

T = TypeVar("T")


@dataclass(frozen=True)
class Latency:
    """Means over some milliseconds, in us."""

    run_us: float
    call_us: float
    """Of a convolution of one pixel, for which nobody wakes a second thread: what calling costs by itself."""

    waited: float
    """Time that its threads wanted to run and had no core, by the time that the sample took."""

    @property
    def kernel_us(self) -> float:
        return self.run_us - self.call_us


class PeerProcess:
    """The handle of the process: asleep, except while it answers. Every call may raise CallFailed."""

    def __init__(
        self,
        library: str,
        target: Target,
        cores: Collection[int],
        environment: Mapping[str, str],
        folder: Path | None = None,
    ) -> None:
        """Start it on `cores`; `folder` has packages for it alone."""
        make_library = partial(start_library, library, target, frozenset(cores), dict(environment), folder)
        # A child of this very process, not of a fork server: the system kills it with its parent, even while stopped.
        self._process = ChildProcess(make_library, multiprocessing.get_context("spawn"), Pickled())
        self._process.start()

    @property
    def pid(self) -> int | None:
        """None once it has ended."""
        return self._process.pid

    def ask_version(self) -> str:
        """Of the library. Where it is missing or does not load, this says so."""
        return self._call(AskVersion())

    def prepare(self, workload: Workload, values: Quantization, x: Array, candidate: Candidate) -> Array:
        """Make ready to run a workload on `x`, and give the result."""
        return self._call(Prepare(workload, values, x, candidate))

    def take_sample(self) -> Latency:
        """How long a run takes now."""
        return self._call(TakeSample())

    def stop(self) -> None:
        self._process.stop()

    def _call(self, command: Command["TimedLibrary", T]) -> T:
        self._signal_process(signal.SIGCONT)
        try:
            return self._process.call(command, ANSWER_SECONDS)
        finally:
            self._signal_process(signal.SIGSTOP)
            if self.pid is not None:
                os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # until its last thread stands

    def _signal_process(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Library(Protocol):
    """Makes convolutions of the values and the number of threads; `candidate` is for ours alone."""

    def version(self) -> str: ...

    def make_conv(
        self, workload: Workload, target: Target, values: Quantization, candidate: Candidate | None
    ) -> Runnable: ...


class OurLibrary:
    def version(self) -> str:
        return ""

    def make_conv(
        self, workload: Workload, target: Target, values: Quantization, candidate: Candidate | None
    ) -> Runnable:
        from tilewright_comparison.peers.ours import OurConv  # TVM, which no other library should meet

        return OurConv(workload, target, values, candidate)


class PeerLibrary:
    def __init__(self, name: str) -> None:
        """Raises ImportError where the library is not installed."""
        self._conv = PEERS[name].load()

    def version(self) -> str:
        return self._conv.version()

    def make_conv(
        self, workload: Workload, target: Target, values: Quantization, candidate: Candidate | None
    ) -> Runnable:
        return self._conv(workload, values, target.threads)


class TimedLibrary:
    """In the child: the library, the convolution at hand, and the one-pixel one beside it."""

    def __init__(self, library: Library, target: Target, cores: frozenset[int]) -> None:
        self._library, self._target, self._cores = library, target, cores
        self.version = library.version()
        self._one_pixel = library.make_conv(ONE_PIXEL, Target(isa=target.isa), one_pixel_values(), None)
        self._one_pixel.bind(np.zeros(ONE_PIXEL.input_shape, np.uint8))
        self._conv = self._one_pixel

    def prepare(self, workload: Workload, values: Quantization, x: Array, candidate: Candidate) -> Array:
        os.sched_setaffinity(0, self._cores)  # for the threads that are started now
        self._conv = self._library.make_conv(workload, self._target, values, candidate)
        result = self._conv(x)
        self._conv.bind(x)
        measure_mean_us(self._conv.run)
        return result

    def take_sample(self) -> Latency:
        started, waited_before = time.perf_counter(), read_waited_seconds()
        run_us, call_us = measure_mean_us(self._conv.run), measure_mean_us(self._one_pixel.run)
        waited = (read_waited_seconds() - waited_before) / (time.perf_counter() - started)
        return Latency(run_us, call_us, waited)


@dataclass(frozen=True)
class AskVersion:
    answer: ClassVar[Any] = str

    def execute(self, library: TimedLibrary, /) -> str:
        return library.version


@dataclass(frozen=True)
class Prepare:
    answer: ClassVar[Any] = Any
    workload: Workload
    values: Quantization
    x: Array
    candidate: Candidate

    def execute(self, library: TimedLibrary, /) -> Array:
        return library.prepare(self.workload, self.values, self.x, self.candidate)


@dataclass(frozen=True)
class TakeSample:
    answer: ClassVar[Any] = Latency

    def execute(self, library: TimedLibrary, /) -> Latency:
        return library.take_sample()


def start_library(
    name: str, target: Target, cores: frozenset[int], environment: dict[str, str], folder: Path | None
) -> TimedLibrary:
    """In the child. The library reads its environment when it is loaded."""
    os.sched_setaffinity(0, cores)
    os.environ.update(environment)
    if folder is not None:
        sys.path.insert(0, str(folder))
    return TimedLibrary(OurLibrary() if name == OURS else PeerLibrary(name), target, cores)


def read_waited_seconds() -> float:
    """How long the threads of this process have waited for a core, all together."""
    return sum(read_scheduled_ns(task)[1] for task in TASKS.iterdir()) / 1e9


def one_pixel_values() -> Quantization:
    return Quantization(np.ones(ONE_PIXEL.weight_shape, np.int8), np.zeros(1, np.int32), np.ones(1, np.float32))


def measure_mean_us(run: Callable[[], object]) -> float:
    """Mean latency over SAMPLE_SECONDS, after WARM_UP_SECONDS in which caches fill and the pool's threads wake."""
    calls, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < WARM_UP_SECONDS or calls < 2:
        run()
        calls += 1
    calls = max(1, math.ceil(calls * SAMPLE_SECONDS / elapsed))
    started = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - started) * 1e6 / calls
