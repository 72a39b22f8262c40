"""The bit-exactness gate: a built kernel against the independent reference, on random and on extreme inputs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tilewright.contract.schedules import Verification
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import QUANTIZED_RANGE, REFERENCE, Array, Quantization, reference
from tilewright_kernels.runtime.kernel import Kernel, PackedConv

GUARD, GUARD_BYTES = 0xA5, 4096


@dataclass(frozen=True)
class Verdict:
    """Either a proof, or what was different."""

    passed: Verification | None
    mismatch: str | None = None


@dataclass(frozen=True)
class Inputs:
    """One run of the gate, with its name in words."""

    name: str
    data: Array
    values: Quantization
    residual: Array | None = None


def verify(kernel: Kernel) -> Verdict:
    """Run the built kernel on all inputs: every element has to equal the reference, and no other byte may change."""
    names, elements, guarded = [], 0, GuardedOutput(kernel.workload)
    for inputs in gate_inputs(kernel.workload):
        expected = reference(kernel.workload, inputs.data, inputs.values, inputs.residual)
        actual = PackedConv(kernel, kernel.arguments(inputs.values))(inputs.data, guarded.array, inputs.residual)
        if not guarded.is_intact():
            return Verdict(None, f"the kernel writes outside its output for {inputs.name}")
        different = int(np.count_nonzero(actual != expected))
        if different:
            return Verdict(None, f"{different} of {expected.size} elements differ for {inputs.name}")
        names.append(inputs.name)
        elements += expected.size
    return Verdict(Verification(reference=REFERENCE, inputs=names, elements=elements))


class GuardedOutput:
    """An output array with memory around it that a kernel has no business in.

    LLVM has made kernels that write a few bytes too many: their results were right, and the heap was not.
    """

    def __init__(self, workload: Workload) -> None:
        dtype = np.dtype(workload.out_dtype)
        size = int(np.prod(workload.output_shape)) * dtype.itemsize
        memory = np.full(size + 2 * GUARD_BYTES, GUARD, np.uint8)
        self._before, middle, self._after = np.split(memory, [GUARD_BYTES, GUARD_BYTES + size])
        self.array = middle.view(dtype).reshape(workload.output_shape)

    def is_intact(self) -> bool:
        return bool((self._before == GUARD).all() and (self._after == GUARD).all())


def gate_inputs(workload: Workload) -> Iterator[Inputs]:
    """The inputs of the gate, each with a residual where the workload adds one."""
    random = np.random.default_rng(21)
    for inputs in _convolution_inputs(workload):
        values = replace(
            inputs.values,
            residual_scale=float(np.float32(random.uniform(0.1, 2))),
            residual_zero_point=sum(QUANTIZED_RANGE.get(workload.residual_dtype, (0, 0))) // 2 + 2,
            out_scale=0.05,
        )
        yield replace(inputs, values=values, residual=random_residual(workload, random))


def random_residual(workload: Workload, random: np.random.Generator) -> Array | None:
    """Every value of the residual's type, equally often; None where nothing is added."""
    if not workload.residual:
        return None
    return random.integers(0, 256, workload.output_shape, dtype=np.uint8).view(workload.residual_dtype)


def _convolution_inputs(workload: Workload) -> Iterator[Inputs]:
    """Random inputs, ties of the rounding, saturation at both ends, and the largest sums of both signs."""
    random = np.random.default_rng(20)
    low, high = QUANTIZED_RANGE[workload.data_dtype]
    out_low, out_high = QUANTIZED_RANGE.get(workload.out_dtype, (0, 0))
    middle, out_middle = (low + high) // 2, (out_low + out_high) // 2
    weight = random.integers(-128, 128, workload.weight_shape).astype(np.int8)
    data = random_data(workload, random)
    typical = 1 / (60 * workload.reduction**0.5)
    yield Inputs("random", data, _values(workload, random, weight, typical, middle + 3, out_middle + 5))
    yield Inputs("random, saturating", data, _values(workload, random, weight, 1.0, high, out_low))
    small = random.integers(-1, 2, workload.weight_shape).astype(np.int8)
    ties = Quantization(
        small, _bias(workload, random, 9), np.full(workload.out_channels, 0.5, np.float32), middle, out_middle
    )
    yield Inputs("ties: scale 0.5, weights -1 to 1", _near(workload, random, middle), ties)
    for element, factor, zero_point, out_zero_point in (
        (high, -128, low, out_high),
        (high, 127, low, out_low),
        (low, -128, high, out_low),
        (low, 127, high, out_high),
    ):
        constant = np.full(workload.weight_shape, factor, np.int8)
        values = _values(workload, random, constant, 1 / (200 * workload.reduction), zero_point, out_zero_point)
        filled = np.full(workload.input_shape, element, workload.data_dtype)
        yield Inputs(f"x={element} w={factor} zero points {zero_point} and {out_zero_point}", filled, values)


def random_data(workload: Workload, random: np.random.Generator) -> Array:
    """Every value of the data type, equally often."""
    return random.integers(0, 256, workload.input_shape, dtype=np.uint8).view(workload.data_dtype)


def _near(workload: Workload, random: np.random.Generator, middle: int) -> Array:
    return (middle + random.integers(-2, 3, workload.input_shape)).astype(workload.data_dtype)


def _values(
    workload: Workload, random: np.random.Generator, weight: Array, scale: float, zero_point: int, out_zero_point: int
) -> Quantization:
    scales: Any = random.uniform(0.5, 2.0, workload.out_channels) * scale
    bias = _bias(workload, random, 5000)
    return Quantization(weight, bias, scales.astype(np.float32), zero_point, out_zero_point)


def _bias(workload: Workload, random: np.random.Generator, size: int) -> Array:
    if not workload.bias:
        return np.zeros(workload.out_channels, np.int32)
    return random.integers(-size, size + 1, workload.out_channels).astype(np.int32)
