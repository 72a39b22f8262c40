"""What happens inside an evaluator process: build a candidate, measure it, check it. It may crash; nobody else does."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tvm

from tilewright.contract.candidates import Candidate
from tilewright.contract.schedules import InstructionCount, Verification
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Array
from tilewright_kernels.isa.instruction_count import assembly, count_instructions
from tilewright_kernels.isa.peak import canary_us, peak_gmacs
from tilewright_kernels.runtime.build import scheduled
from tilewright_kernels.runtime.kernel import Kernel
from tilewright_tuning.cores import pin_threads
from tilewright_tuning.measurement import Measurement
from tilewright_tuning.test_inputs import random_data, random_residual, typical_values
from tilewright_tuning.verification import Mismatch, verify

GLANCE_US = 200.0
"""A look that tells a slow kernel from a slow call."""

SAMPLE_US = 1_000.0
"""One repeat lasts about this long, less where calling takes long, so that clock and interrupts do not count."""

CACHE_LINE, PAST_LINE = 64, 16
"""In bytes."""


class Evaluation:
    """The workload at hand, its inputs, and what was built for it."""

    def __init__(self) -> None:
        self._kernels: dict[str, Kernel] = {}

    def prepare(self, workload: Workload, target: Target) -> None:
        self._kernels.clear()
        self.workload, self.target = workload, target
        random = np.random.default_rng(0)
        self._values = typical_values(workload, random)
        self._data = copy_across_lines(random_data(workload, random))
        residual = random_residual(workload, random)
        self._residual = None if residual is None else copy_across_lines(residual)
        self._out = copy_across_lines(np.empty(workload.output_shape, workload.out_dtype))
        canary_us(target.isa)  # compiled before a trial waits for it

    def build(self, candidate: Candidate) -> None:
        kernel = Kernel(self.workload, self.target, candidate)
        kernel.module["main"]  # LLVM turns the module into machine code at the first look-up
        self._kernels[candidate.id] = kernel

    def kernel(self, candidate_id: str) -> Kernel:
        return self._kernels[candidate_id]

    def measure(self, candidate_id: str, repeats: int, cutoff_us: float) -> Measurement:
        before_us = canary_us(self.target.isa)
        latencies_us = self.take_latencies(candidate_id, repeats, cutoff_us)
        return Measurement(latencies_us, max(before_us, canary_us(self.target.isa)))

    def take_latencies(self, candidate_id: str, repeats: int, cutoff_us: float = math.inf) -> list[float]:
        kernel = self.kernel(candidate_id)
        arguments = [
            self._data.reshape(kernel.data_shape),
            *kernel.arguments(self._values),
            residual_argument(kernel, self._residual),
            self._out.reshape(kernel.out_shape),
        ]
        return measure_latencies_us(kernel.module, arguments, repeats, cutoff_us, self.target.threads)


@dataclass(frozen=True)
class Prepare:
    """Forget the last workload, and make ready for this one."""

    answer: ClassVar[Any] = None
    workload: Workload
    target: Target

    def execute(self, evaluation: Evaluation, /) -> None:
        evaluation.prepare(self.workload, self.target)


@dataclass(frozen=True)
class Build:
    answer: ClassVar[Any] = None
    candidate: Candidate

    def execute(self, evaluation: Evaluation, /) -> None:
        evaluation.build(self.candidate)


@dataclass(frozen=True)
class Measure:
    """Time a built candidate; cut off when a first sample is above `cutoff_us`."""

    answer: ClassVar[Any] = Measurement
    candidate_id: str
    repeats: int
    cutoff_us: float

    def execute(self, evaluation: Evaluation, /) -> Measurement:
        return evaluation.measure(self.candidate_id, self.repeats, self.cutoff_us)


@dataclass(frozen=True)
class TakeLatencies:
    """Latencies of a built candidate in us, without canaries: rounds show by themselves what is disturbed."""

    answer: ClassVar[Any] = list[float]
    candidate_id: str
    repeats: int

    def execute(self, evaluation: Evaluation, /) -> list[float]:
        return evaluation.take_latencies(self.candidate_id, self.repeats)


@dataclass(frozen=True)
class Verify:
    """Put a built candidate through the bit-exactness gate."""

    answer: ClassVar[Any] = Verification | Mismatch
    candidate_id: str

    def execute(self, evaluation: Evaluation, /) -> Verification | Mismatch:
        return verify(evaluation.kernel(self.candidate_id))


@dataclass(frozen=True)
class CountInstructions:
    """Count the dot products in the machine code of a built candidate."""

    answer: ClassVar[Any] = InstructionCount
    candidate_id: str

    def execute(self, evaluation: Evaluation, /) -> InstructionCount:
        return count_instructions(assembly(evaluation.kernel(self.candidate_id).module), evaluation.target.isa)


@dataclass(frozen=True)
class WriteScript:
    """A built candidate as TVMScript, for people to read."""

    answer: ClassVar[Any] = str
    candidate_id: str

    def execute(self, evaluation: Evaluation, /) -> str:
        kernel = evaluation.kernel(self.candidate_id)
        return str(scheduled(kernel.workload, kernel.target, kernel.candidate).mod.script())


@dataclass(frozen=True)
class MeasurePeak:
    """The most GMAC/s of one core on a path."""

    answer: ClassVar[Any] = float
    isa: Isa

    def execute(self, _: Evaluation, /) -> float:
        return peak_gmacs(self.isa)


def residual_argument(kernel: Kernel, residual: Array | None) -> Array:
    """What the compiled function gets as residual; one unused element where the workload has none."""
    return np.zeros(1, kernel.workload.residual_dtype) if residual is None else residual.reshape(kernel.out_shape)


def copy_across_lines(array: Array) -> Array:
    """A copy where NumPy has large arrays: 16 bytes past the start of a cache line.

    There vectors lie across two lines, and threads that write next to each other meet in one.
    """
    room: Array = np.zeros(array.nbytes + 2 * CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE + PAST_LINE
    copy: Array = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def measure_latencies_us(
    module: Any, arguments: list[Any], repeats: int, cutoff_us: float, threads: int
) -> list[float]:
    """Mean latency of each repeat in us, after one warm-up call, which starts the threads that share the kernel."""
    function = module["main"]
    function(*arguments)
    if threads > 1:
        pin_threads(os.sched_getaffinity(0), lambda: function(*arguments))
    first_us = min(time_call_us(function, arguments) for _ in range(2))
    if first_us > 5e5:
        return [first_us]

    def take_samples_us(sample_us: float, repeats: int) -> list[float]:
        number = max(1, math.ceil(sample_us / first_us))
        evaluator = module.time_evaluator("main", tvm.cpu(), number=number, repeat=repeats)
        return [seconds * 1e6 for seconds in evaluator(*arguments).results]

    # A call from Python costs some microseconds, so what looks slow is looked at again without it.
    if first_us > cutoff_us and (glance_us := min(take_samples_us(GLANCE_US, 3))) > cutoff_us:
        return [glance_us]
    return take_samples_us(SAMPLE_US, repeats)


def time_call_us(function: Callable[..., Any], arguments: list[Any]) -> float:
    start = time.perf_counter()
    function(*arguments)
    return (time.perf_counter() - start) * 1e6
