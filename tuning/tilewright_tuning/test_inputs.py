"""Data and constants to run kernels on: whatever is timed, verified or compared gets them from here."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import QUANTIZED_RANGE, Array, Quantization


@dataclass(frozen=True)
class Inputs:
    """What one run of a kernel takes, with its name in words."""

    name: str
    data: Array
    values: Quantization
    residual: Array | None = None


def random_data(workload: Workload, random: np.random.Generator) -> Array:
    """Every value of the data type, equally often."""
    return random.integers(0, 256, workload.input_shape, dtype=np.uint8).view(workload.data_dtype)


def random_residual(workload: Workload, random: np.random.Generator) -> Array | None:
    """Every value of the residual's type, equally often; None where nothing is added."""
    if not workload.residual:
        return None
    return random.integers(0, 256, workload.output_shape, dtype=np.uint8).view(workload.residual_dtype)


def typical_values(workload: Workload, random: np.random.Generator) -> Quantization:
    """Random weights, and scales with which results spread over the output range."""
    scale = random.uniform(0.5, 2, workload.out_channels) / (80 * workload.reduction**0.5)
    return _compared_values(workload, random, scale)


def exact_values(workload: Workload, random: np.random.Generator) -> Quantization:
    """The same with powers of two as scales: float32 then loses nothing before the rounding, in whatever order."""
    typical = np.exp2(np.floor(np.log2(1 / (80 * workload.reduction**0.5))))
    return _compared_values(workload, random, typical * random.choice([1, 2], workload.out_channels))


def _compared_values(workload: Workload, random: np.random.Generator, scale: Array) -> Quantization:
    # Even zero points: adding an odd one before rounding half to even is not adding it afterwards.
    zero_points = {"uint8": 120, "int8": -4}
    return Quantization(
        random.integers(-127, 128, workload.weight_shape).astype(np.int8),
        _random_bias(workload, random, 4000),
        scale.astype(np.float32),
        zero_points[workload.data_dtype],
        zero_points.get(workload.out_dtype, 0),
    )


def verification_inputs(workload: Workload) -> Iterator[Inputs]:
    """What a kernel has to be exact on before it is served, each with a residual where the workload adds one."""
    random = np.random.default_rng(21)
    for inputs in _convolution_inputs(workload):
        values = replace(
            inputs.values,
            residual_scale=float(np.float32(random.uniform(0.1, 2))),
            residual_zero_point=sum(QUANTIZED_RANGE.get(workload.residual_dtype, (0, 0))) // 2 + 2,
            out_scale=0.05,
        )
        yield replace(inputs, values=values, residual=random_residual(workload, random))


def _convolution_inputs(workload: Workload) -> Iterator[Inputs]:
    """Random inputs, ties of the rounding, saturation at both ends, and the largest sums of both signs."""
    random = np.random.default_rng(20)
    low, high = QUANTIZED_RANGE[workload.data_dtype]
    out_low, out_high = QUANTIZED_RANGE.get(workload.out_dtype, (0, 0))
    middle, out_middle = (low + high) // 2, (out_low + out_high) // 2
    weight = random.integers(-128, 128, workload.weight_shape).astype(np.int8)
    data = random_data(workload, random)
    typical = 1 / (60 * math.sqrt(workload.reduction))
    yield Inputs("random", data, _values(workload, random, weight, typical, middle + 3, out_middle + 5))
    yield Inputs("random, saturating", data, _values(workload, random, weight, 1.0, high, out_low))
    small = random.integers(-1, 2, workload.weight_shape).astype(np.int8)
    half = np.full(workload.out_channels, 0.5, np.float32)
    ties = Quantization(small, _random_bias(workload, random, 9), half, middle, out_middle)
    near = (middle + random.integers(-2, 3, workload.input_shape)).astype(workload.data_dtype)
    yield Inputs("ties: scale 0.5, weights -1 to 1", near, ties)
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


def _values(
    workload: Workload, random: np.random.Generator, weight: Array, scale: float, zero_point: int, out_zero_point: int
) -> Quantization:
    scales: Array = random.uniform(0.5, 2.0, workload.out_channels) * scale
    bias = _random_bias(workload, random, 5000)
    return Quantization(weight, bias, scales.astype(np.float32), zero_point, out_zero_point)


def _random_bias(workload: Workload, random: np.random.Generator, size: int) -> Array:
    if not workload.bias:
        return np.zeros(workload.out_channels, np.int32)
    return random.integers(-size, size + 1, workload.out_channels).astype(np.int32)
