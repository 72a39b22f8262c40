# mypy: disable-error-code="no-any-unimported"
"""What happens inside an evaluator process: build a candidate, measure it, check it. It may crash; nobody else does."""

import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import tvm

from tilewright.contract.candidates import Candidate
from tilewright.contract.schedules import Proof
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.isa.peak import canary_us, peak_gmacs
from tilewright_kernels.isa.proof import assembly, prove
from tilewright_kernels.runtime.kernel import Kernel
from tilewright_tuning import verification
from tilewright_tuning.cores import pin_threads
from tilewright_tuning.measurement import Measurement

GLANCE_US = 200.0
"""A look that tells a slow kernel from a slow call."""

SAMPLE_US = 1_000.0
"""One repeat lasts about this long, less where calling takes long, so that clock and interrupts do not count."""


CACHE_LINE, PAST_LINE = 64, 16
"""In bytes."""


@dataclass(frozen=True)
class Prepare:
    """Forget the last workload, and make ready for this one."""

    workload: Workload
    target: Target


@dataclass(frozen=True)
class Build:
    candidate: Candidate


@dataclass(frozen=True)
class Measure:
    """A Measurement of a built candidate; cut off when a first sample is above `cutoff_us`."""

    candidate_id: str
    repeats: int
    cutoff_us: float = math.inf


@dataclass(frozen=True)
class Verify:
    candidate_id: str


@dataclass(frozen=True)
class Prove:
    candidate_id: str


@dataclass(frozen=True)
class Peak:
    isa: Isa


Command = Prepare | Build | Measure | Verify | Prove | Peak


@dataclass(frozen=True)
class Reply:
    """What came of a command: a value, or the error in words."""

    value: Any = None
    error: str | None = None


class Evaluation:
    """The workload at hand, its inputs, and what was built for it."""

    def __init__(self) -> None:
        self._kernels: dict[str, Kernel] = {}

    def prepare(self, command: Prepare) -> None:
        self._kernels.clear()
        self.workload, self.target = command.workload, command.target
        random = np.random.default_rng(0)
        self._values = random_values(self.workload, random)
        self._data = straddling(verification.random_data(self.workload, random))
        residual = verification.random_residual(self.workload, random)
        self._residual = None if residual is None else straddling(residual)
        self._out = straddling(np.empty(self.workload.output_shape, self.workload.out_dtype))
        canary_us(self.target.isa)  # compiled before a trial waits for it

    def build(self, command: Build) -> None:
        kernel = Kernel(self.workload, self.target, command.candidate)
        kernel.module["main"]  # LLVM turns the module into machine code at the first look-up
        self._kernels[command.candidate.id] = kernel

    def measure(self, command: Measure) -> Measurement:
        kernel = self._kernels[command.candidate_id]
        arguments = [
            self._data.reshape(kernel.data_shape),
            *kernel.arguments(self._values),
            residual_argument(kernel, self._residual),
            self._out.reshape(kernel.out_shape),
        ]
        before_us = canary_us(self.target.isa)
        latencies_us = measured_us(kernel.module, arguments, command.repeats, command.cutoff_us, self.target.threads)
        return Measurement(latencies_us, max(before_us, canary_us(self.target.isa)))

    def verify(self, command: Verify) -> verification.Verdict:
        return verification.verify(self._kernels[command.candidate_id])

    def prove(self, command: Prove) -> Proof:
        return prove(assembly(self._kernels[command.candidate_id].module), self.target.isa)

    def peak(self, command: Peak) -> float:
        return peak_gmacs(command.isa)


def residual_argument(kernel: Kernel, residual: Array | None) -> Array:
    """What the compiled function gets as residual; one unused element where the workload has none."""
    return np.zeros(1, kernel.workload.residual_dtype) if residual is None else residual.reshape(kernel.out_shape)


def straddling(array: Array) -> Array:
    """A copy where NumPy has large arrays: 16 bytes past the start of a cache line.

    There vectors lie across two lines, and threads that write next to each other meet in one.
    """
    room: Array = np.zeros(array.nbytes + 2 * CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE + PAST_LINE
    copy: Array = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def measured_us(module: Any, arguments: list[Any], repeats: int, cutoff_us: float, threads: int) -> list[float]:
    """Mean latency of each repeat in us, after one warm-up call, which starts the threads that share the kernel."""
    function = module["main"]
    function(*arguments)
    if threads > 1:
        pin_threads(os.sched_getaffinity(0))
    first_us = min(timed_us(function, arguments) for _ in range(2))
    if first_us > 5e5:
        return [first_us]

    def sampled_us(sample_us: float, repeats: int) -> list[float]:
        number = max(1, math.ceil(sample_us / first_us))
        evaluator = module.time_evaluator("main", tvm.cpu(), number=number, repeat=repeats)
        return [seconds * 1e6 for seconds in evaluator(*arguments).results]

    # A call from Python costs some microseconds, so what looks slow is looked at again without it.
    if first_us > cutoff_us and (glance_us := min(sampled_us(GLANCE_US, 3))) > cutoff_us:
        return [glance_us]
    return sampled_us(SAMPLE_US, repeats)


def timed_us(function: Callable[..., Any], arguments: list[Any]) -> float:
    start = time.perf_counter()
    function(*arguments)
    return (time.perf_counter() - start) * 1e6


def random_values(workload: Workload, random: np.random.Generator) -> Quantization:
    """Constants with which most results stay inside the output range."""
    weight: Array = random.integers(-127, 128, workload.weight_shape, dtype=np.int8)
    scale = np.full(workload.out_channels, 1 / (100 * math.sqrt(workload.reduction)), np.float32)
    return Quantization(weight, np.zeros(workload.out_channels, np.int32), scale)


def serve(connection: Connection) -> None:
    """Answer commands until the other end goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    evaluation = Evaluation()
    handlers: dict[type, Callable[[Any], Any]] = {
        Prepare: evaluation.prepare,
        Build: evaluation.build,
        Measure: evaluation.measure,
        Verify: evaluation.verify,
        Prove: evaluation.prove,
        Peak: evaluation.peak,
    }
    while True:
        try:
            command = connection.recv()
        except EOFError:
            return
        connection.send(answer(handlers[type(command)], command))


def answer(handler: Callable[[Any], Any], command: Command) -> Reply:
    try:
        return Reply(handler(command))
    except Exception as error:  # whatever TVM raises is the answer: it costs the trial, not the process
        return Reply(error=f"{type(error).__name__}: {last_line(str(error))}")


def last_line(text: str) -> str:
    """TVM puts whole modules into its messages; the reason stands at the end."""
    marker = text.rfind("Error message:")
    lines = text[max(marker, 0) :].strip().splitlines()
    return " ".join(lines)[:1000]
