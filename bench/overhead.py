"""What a call `packed(x, out=y)` costs over the kernel itself, in microseconds. The target is at most 5.

    python -m bench.overhead [--rounds 41]

Kernel and call are timed in turns, so that a change of clock meets both alike. The kernel's time comes from TVM's
time_evaluator, which calls it from C++; what is left over is Python's part: checks, DLPack, the call.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tvm

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.isa.paths import host_isas
from tilewright_kernels.runtime.kernel import load_kernel

CALLS = 300
TARGET_US = 5.0
WORKLOADS = (
    Workload(batch=1, in_channels=16, height=4, width=4, out_channels=16, kernel_size=(1, 1)),
    Workload(batch=1, in_channels=64, height=14, width=14, out_channels=64, kernel_size=(1, 1)),
    Workload(batch=1, in_channels=64, height=14, width=14, out_channels=64, kernel_size=(3, 3), padding=(1, 1, 1, 1)),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=41)
    rounds = parser.parse_args().rounds
    worst = max(measure(workload, rounds) for workload in WORKLOADS)
    print(f"worst: {worst:.2f} us over the kernel; target: at most {TARGET_US:g} us")
    return 0 if worst <= TARGET_US else 1


def measure(workload: Workload, rounds: int) -> float:
    """Prints kernel, call and their difference, medians over the rounds; the answer is the difference in us."""
    kernel_us, call_us = timers(workload)
    pairs = [(kernel_us(), call_us()) for _ in range(rounds)]
    differences = [call - kernel for kernel, call in pairs]
    low, middle, high = statistics.quantiles(differences, n=4)
    kernel, call = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(
        f"{workload.name}: kernel {kernel:.2f} us, call {call:.2f} us, over it {middle:.2f} us ({low:.2f}-{high:.2f})"
    )
    return middle


def timers(workload: Workload) -> tuple[Callable[[], float], Callable[[], float]]:
    """Mean us of one run of the kernel, and of one call, each over CALLS."""
    random = np.random.default_rng(0)
    kernel = load_kernel(workload, Target(isa=host_isas()[0]))
    x = random.integers(0, 256, workload.input_shape).astype(np.uint8)
    y = np.empty(workload.output_shape, workload.out_dtype)
    weight = random.integers(-128, 128, workload.weight_shape).astype(np.int8)
    packed = kernel.pack(weight, np.zeros(workload.out_channels, np.int32), scale=0.001)
    evaluator = kernel.module.time_evaluator("main", tvm.cpu(), number=CALLS)
    arguments: list[Any] = [
        tvm.runtime.tensor(x.reshape(kernel.data_shape)),
        *packed._arguments,
        packed._no_residual,
        tvm.runtime.tensor(y.reshape(kernel.out_shape)),
    ]

    def call_us() -> float:
        started = time.perf_counter()
        for _ in range(CALLS):
            packed(x, out=y)
        return (time.perf_counter() - started) / CALLS * 1e6

    return lambda: evaluator(*arguments).mean * 1e6, call_us


if __name__ == "__main__":
    raise SystemExit(main())
