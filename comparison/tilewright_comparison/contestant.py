# mypy: disable-error-code="no-any-unimported"
"""One side of a comparison, in a process of its own that is stopped while the other sides run.

Every library spins for a while on the threads of its pool, in the hope of more work. Two such pools on the same cores
spoil each other's figures, so only one side is ever awake.
"""

import ctypes
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from tilewright.contract.candidates import Candidate
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_comparison.peers import PEERS, PeerConv
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.runtime.kernel import Kernel, PackedConv, load_kernel
from tilewright_tuning.cores import TASKS, scheduled_ns
from tilewright_tuning.evaluator import PR_SET_PDEATHSIG, fork_server

OURS = "tilewright"
ONE_PIXEL = Workload(batch=1, in_channels=1, height=1, width=1, out_channels=1, kernel_size=(1, 1))
WARM_UP_SECONDS = 0.002
SAMPLE_SECONDS = 0.006
ANSWER_SECONDS = 120.0


class ContestantFailed(Exception):
    """What a side reported, or that it died."""


@dataclass(frozen=True)
class Prepare:
    """Make ready to run a workload on `x`, and give the result; `candidate` is for our side."""

    workload: Workload
    values: Quantization
    x: Array
    candidate: Candidate


@dataclass(frozen=True)
class Sample:
    """How long does a run take now?"""


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


class Contestant:
    """The handle of a side: asleep, except while it answers."""

    def __init__(
        self,
        name: str,
        target: Target,
        cores: Collection[int],
        environment: dict[str, str],
        folder: Path | None = None,
    ) -> None:
        """Start it on `cores`; `folder` has packages for it alone. Raises ContestantFailed."""
        context = fork_server()
        self._connection, other_end = context.Pipe()
        start = (other_end, name, target, frozenset(cores), environment, folder)
        self._process = context.Process(target=_serve, args=start, daemon=True)
        self._process.start()
        other_end.close()
        try:
            self.version: str = self._answer()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def prepare(self, order: Prepare) -> Array:
        """The result. Raises ContestantFailed where this side cannot compute it."""
        result: Array = self._ask(order)
        return result

    def sample(self) -> Latency:
        latency: Latency = self._ask(Sample())
        return latency

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _ask(self, order: Prepare | Sample) -> Any:
        # A process that died shows when its answer is read.
        with suppress(ProcessLookupError, BrokenPipeError, ConnectionResetError):
            os.kill(self.pid, signal.SIGCONT)
            self._connection.send(order)
        return self._answer()

    def _answer(self) -> Any:
        try:
            if not self._connection.poll(ANSWER_SECONDS):
                self._process.kill()  # a late answer would be taken for that to the next order
                self._process.join()
                raise ContestantFailed(f"no answer within {ANSWER_SECONDS:g} s")
            value, error = self._connection.recv()
        except (EOFError, ConnectionResetError):
            raise ContestantFailed("its process died") from None
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)
        if error is not None:
            raise ContestantFailed(error)
        return value


class OurConv:
    """The same for our kernels as PeerConv is for the others."""

    def __init__(self, kernel: Kernel, values: Quantization) -> None:
        self._packed = PackedConv(kernel, kernel.arguments(values))
        self._out = np.zeros(kernel.workload.output_shape, kernel.workload.out_dtype)

    def bind(self, x: Array) -> None:
        self._x = x

    def run(self) -> object:
        return self._packed(self._x, out=self._out)

    def __call__(self, x: Array) -> Array:
        return self._packed(x)


class Side:
    """In the child: the library, the convolution at hand, and the one-pixel one beside it."""

    def __init__(self, name: str, target: Target, cores: frozenset[int]) -> None:
        self._target, self._cores = target, cores
        self._library: type[PeerConv] | None = None if name == OURS else PEERS[name].load()
        self.version = "" if self._library is None else self._library.version()
        self._call = self._one_pixel()
        self._conv = self._call

    def prepare(self, order: Prepare) -> Array:
        os.sched_setaffinity(0, self._cores)  # for the threads that are started now
        if self._library is None:
            self._conv = OurConv(Kernel(order.workload, self._target, order.candidate), order.values)
        else:
            self._conv = self._library(order.workload, order.values, self._target.threads)
        result = self._conv(order.x)
        self._conv.bind(order.x)
        sampled_us(self._conv.run)
        return result

    def sample(self, _: Sample) -> Latency:
        started, waited_before = time.perf_counter(), waited_seconds()
        run_us, call_us = sampled_us(self._conv.run), sampled_us(self._call.run)
        waited = (waited_seconds() - waited_before) / (time.perf_counter() - started)
        return Latency(run_us, call_us, waited)

    def _one_pixel(self) -> OurConv | PeerConv:
        values = one_pixel_values()
        conv: OurConv | PeerConv
        if self._library is None:
            conv = OurConv(load_kernel(ONE_PIXEL, Target(isa=self._target.isa)), values)
        else:
            conv = self._library(ONE_PIXEL, values, 1)
        conv.bind(np.zeros(ONE_PIXEL.input_shape, np.uint8))
        return conv


def waited_seconds() -> float:
    """How long the threads of this process have waited for a core, all together."""
    return sum(scheduled_ns(task)[1] for task in TASKS.iterdir()) / 1e9


def one_pixel_values() -> Quantization:
    return Quantization(np.ones(ONE_PIXEL.weight_shape, np.int8), np.zeros(1, np.int32), np.ones(1, np.float32))


def sampled_us(run: Callable[[], object]) -> float:
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


def _serve(
    connection: Connection,
    name: str,
    target: Target,
    cores: frozenset[int],
    environment: dict[str, str],
    folder: Path | None,
) -> None:
    """In the child: answer until the parent goes away."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    let_go_of_server()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.sched_setaffinity(0, cores)
    os.environ.update(environment)
    if folder is not None:
        sys.path.insert(0, str(folder))
    try:
        side = Side(name, target, cores)
    except Exception as error:  # a library that is missing or does not load is left out and named
        connection.send((None, str(error)))
        return
    connection.send((side.version, None))
    handlers: dict[type, Callable[[Any], Any]] = {Prepare: side.prepare, Sample: side.sample}
    while True:
        try:
            order = connection.recv()
        except EOFError:
            return
        try:
            connection.send((handlers[type(order)](order), None))
        except Exception as error:  # such as a workload that the library does not know
            connection.send((None, f"{type(error).__name__}: {error}"))


def let_go_of_server() -> None:
    """Close the pipe that keeps the fork server alive: a stopped child would never let go, and outlive its parent."""
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
