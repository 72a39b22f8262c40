"""A kernel against ONNX Runtime: the same values, the same input, the same core, in turns."""

from dataclasses import dataclass

import numpy as np

from tilewright.contract.workload import Workload
from tilewright_kernels.kernel import Kernel, PackedConv
from tilewright_kernels.numerics import Quantization
from tilewright_worker.peers import OnnxRuntimeConv, interleaved_us, onnx_runtime_overhead
from tilewright_worker.verification import random_data

ROUNDS = 15


@dataclass(frozen=True)
class Comparison:
    """Latencies in us; ONNX Runtime's without the cost of a call, ours with it."""

    ours_us: float
    onnx_runtime_us: float
    is_equal: bool
    """Whether the two results are the same, bit for bit."""

    @property
    def ratio(self) -> float:
        """Above 1, ours is faster."""
        return self.onnx_runtime_us / self.ours_us


def compare(kernel: Kernel, threads: int = 1, rounds: int = ROUNDS) -> Comparison:
    workload = kernel.workload
    random = np.random.default_rng(7)
    values = typical_values(workload, random)
    x = random_data(workload, random)
    packed = PackedConv(kernel, kernel.arguments(values))
    peer, overhead = OnnxRuntimeConv(workload, values, threads), onnx_runtime_overhead()
    y = packed(x)
    is_equal = bool(np.array_equal(y, peer(x)))
    peer.bind(x)
    latencies = interleaved_us(
        {"ours": lambda: packed(x, out=y), "onnx_runtime": peer.run, "call": overhead.run}, rounds
    )
    return Comparison(latencies["ours"], latencies["onnx_runtime"] - latencies["call"], is_equal)


def typical_values(workload: Workload, random: np.random.Generator) -> Quantization:
    """Random weights, and scales with which results spread over the output range."""
    zero_points = {"uint8": 120, "int8": -3, "int32": 0}
    return Quantization(
        random.integers(-127, 128, workload.weight_shape).astype(np.int8),
        random.integers(-4000, 4000, workload.out_channels).astype(np.int32),
        (random.uniform(0.5, 2, workload.out_channels) / (80 * workload.reduction**0.5)).astype(np.float32),
        zero_points[workload.data_dtype],
        zero_points[workload.out_dtype],
    )
