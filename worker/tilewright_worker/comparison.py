"""A kernel against ONNX Runtime: the same values, the same input, the same core, in turns."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.kernel import Kernel, PackedConv, load_kernel
from tilewright_kernels.numerics import Quantization, as_nhwc
from tilewright_worker.peers import OnnxRuntimeConv, interleaved_us
from tilewright_worker.verification import random_data

ROUNDS = 15
ONE_PIXEL = Workload(batch=1, in_channels=1, height=1, width=1, out_channels=1, kernel_size=(1, 1))


@dataclass(frozen=True)
class Comparison:
    """Latencies of the kernels in us: what a call costs besides is measured and taken off on both sides."""

    ours_us: float
    onnx_runtime_us: float
    is_equal: bool
    """Whether the two results are the same, bit for bit."""

    @property
    def ratio(self) -> float:
        """Above 1, ours is faster."""
        return self.onnx_runtime_us / self.ours_us


def compare(kernel: Kernel, rounds: int = ROUNDS) -> Comparison:
    """ONNX Runtime works in the kernel's layout, except for NCHW16c, which it does not have: there in NHWC."""
    workload = kernel.workload
    random = np.random.default_rng(7)
    values = typical_values(workload, random)
    x = random_data(workload, random)
    packed = PackedConv(kernel, kernel.arguments(values))
    y = packed(x)
    its_x, its_y = x, y
    if workload.layout == "NCHW16c":
        its_x, its_y = (np.ascontiguousarray(as_nhwc(array, workload.layout)) for array in (x, y))
        workload = workload.in_nhwc
    peer = OnnxRuntimeConv(workload, values)
    is_equal = bool(np.array_equal(its_y, peer(its_x)))
    peer.bind(its_x)
    contestants = {
        "ours": lambda: packed(x, out=y),
        "our call": one_pixel(kernel.target),
        "onnx_runtime": peer.run,
        "onnx_runtime call": one_pixel_onnx_runtime(),
    }
    latencies = interleaved_us(contestants, rounds)
    return Comparison(
        latencies["ours"] - latencies["our call"],
        latencies["onnx_runtime"] - latencies["onnx_runtime call"],
        is_equal,
    )


@cache
def one_pixel(target: Target) -> Callable[[], object]:
    """A convolution of one pixel and one channel: all of its latency is the cost of a call."""
    kernel = load_kernel(ONE_PIXEL, Target(isa=target.isa))
    packed = PackedConv(kernel, kernel.arguments(typical_values(ONE_PIXEL, np.random.default_rng(0))))
    x, y = np.zeros(ONE_PIXEL.input_shape, np.uint8), np.zeros(ONE_PIXEL.output_shape, np.uint8)
    return lambda: packed(x, out=y)


@cache
def one_pixel_onnx_runtime() -> Callable[[], object]:
    conv = OnnxRuntimeConv(ONE_PIXEL, typical_values(ONE_PIXEL, np.random.default_rng(0)))
    conv.bind(np.zeros(ONE_PIXEL.input_shape, np.uint8))
    return conv.run


def typical_values(workload: Workload, random: np.random.Generator) -> Quantization:
    """Random weights, and scales with which results spread over the output range."""
    zero_points = {"uint8": 120, "int8": -3}
    return Quantization(
        random.integers(-127, 128, workload.weight_shape).astype(np.int8),
        random.integers(-4000, 4000, workload.out_channels).astype(np.int32),
        (random.uniform(0.5, 2, workload.out_channels) / (80 * workload.reduction**0.5)).astype(np.float32),
        zero_points[workload.data_dtype],
        zero_points.get(workload.out_dtype, 0),
    )
