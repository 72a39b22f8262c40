# mypy: disable-error-code="no-any-unimported"
"""What one core can do at most: dot products in a loop, nothing else."""

from functools import cache

import numpy as np
import tvm

from tilewright.contract.target import Isa
from tilewright_kernels.intrinsics import LANES, dot_loop
from tilewright_kernels.isa import llvm_target

ROUNDS = 20_000
CHAINS = 12
"""Independent sums, enough for 4-5 cycles of latency at two instructions a cycle."""


def has_peak(isa: Isa) -> bool:
    """Whether a peak is defined for this path: those with a dot-product instruction."""
    return isa in LANES


@cache
def peak_gmacs(isa: Isa, repeats: int = 15) -> float:
    """10^9 multiply-adds per second of one core, on the core that the caller runs on; the best of `repeats` runs."""
    lanes = LANES[isa]
    loop = dot_loop(lanes, CHAINS, ROUNDS)  # type: ignore[no-untyped-call]
    module = tvm.tirx.build(loop, llvm_target(isa))
    data = tvm.runtime.tensor(np.ones(4, np.uint8))
    weight = tvm.runtime.tensor(np.ones((lanes, 4), np.int8))
    total = tvm.runtime.tensor(np.zeros((CHAINS, lanes), np.int32))
    seconds: float = module.time_evaluator("main", tvm.cpu(), number=3, repeat=repeats)(data, weight, total).min
    return ROUNDS * CHAINS * lanes * 4 / seconds / 1e9
