"""What one core can do at most: dot products in a loop, nothing else. In short samples: how fast the core is now."""

from collections.abc import Callable
from functools import cache

import numpy as np
import tvm

from tilewright.contract.target import Isa
from tilewright_kernels.isa.intrinsics import dot_loop
from tilewright_kernels.isa.llvm import llvm_target
from tilewright_kernels.isa.paths import PATHS

ROUNDS = 4_000
CHAINS = {True: 12, False: 6}
"""Independent sums: where the instruction adds itself, enough for 4-5 cycles of latency at two a cycle."""

CANARY_RUNS, CANARY_REPEATS = 50, 3


def peak_gmacs(isa: Isa, repeats: int = 15) -> float:
    """10^9 multiply-adds per second of one core, on the core that the caller runs on; the best of `repeats` runs."""
    dot = PATHS[isa].dot
    return ROUNDS * CHAINS[dot.accumulates] * dot.macs / min(peak_loop(isa)(15, repeats)) / 1e9


def canary_us(isa: Isa) -> float:
    """Median time of the loop in us, over a millisecond or two: longer when the core is slower or shared."""
    return sorted(peak_loop(isa)(CANARY_RUNS, CANARY_REPEATS))[CANARY_REPEATS // 2] * 1e6


@cache
def peak_loop(isa: Isa) -> Callable[[int, int], list[float]]:
    """The loop, compiled: call it with a number of runs and of repeats to have the seconds of a run for each repeat."""
    dot = PATHS[isa].dot
    chains = CHAINS[dot.accumulates]
    loop = dot_loop(dot, chains, ROUNDS)
    module = tvm.tirx.build(loop, llvm_target(isa))
    data = tvm.runtime.tensor(np.ones((ROUNDS, dot.products), dot.data_dtype))
    weight = tvm.runtime.tensor(np.ones((chains, dot.lanes, dot.products), dot.weight_dtype))
    total = tvm.runtime.tensor(np.zeros((chains, dot.lanes), np.int32))

    def run(number: int, repeats: int) -> list[float]:
        return list(
            module.time_evaluator("main", tvm.cpu(), number=number, repeat=repeats)(data, weight, total).results
        )

    return run
