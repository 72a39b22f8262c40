"""`python -m tests.kernels.signed_dot`: kernels of a path whose dot product multiplies signed data, as ARM's SDOT does.

No x86 host of ours has one, so its sums are spelled out, in place of those of the path AVX2. Prints what is not exact.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script import tirx as T  # noqa: N812

from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright_kernels.isa import intrinsics, x86
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.paths import PATHS

SIGNED = Dot(Isa.AVX2, x86.YMM, 4, "int8", "int8", "spelled out", "vpmulld", accumulates=True)
BASE = Workload(batch=1, in_channels=32, height=9, width=9, out_channels=32, kernel_size=(3, 3), padding=(1, 1, 1, 1))
KINDS: dict[str, dict[str, Any]] = {
    "dense": {},
    "dense, data of its own sign": {"data_dtype": "int8"},
    "few channels": {"in_channels": 3},
    "depthwise": {"groups": 32},
    "grouped, quads of channels": {"groups": 8, "out_channels": 16},
    "grouped, by elements": {"groups": 4, "out_channels": 12},
    "grouped, quads of pixels": {"groups": 32, "out_dtype": "int32"},
}


def multiply_add(dot: Dot, total: Any, data: Any, weight: Any) -> Any:
    for byte in range(dot.products):
        of_lanes = [lane * dot.products + byte for lane in range(dot.lanes)]
        chosen = (tirx.Shuffle([operand], of_lanes) for operand in (data, weight))
        first, second = (T.Cast(f"int32x{dot.lanes}", operand) for operand in chosen)
        total = total + first * second
    return total


def main() -> None:
    # Before the spaces are imported, which ask for the dot product of each path once.
    intrinsics.multiply_add = multiply_add
    PATHS[Isa.AVX2] = replace(PATHS[Isa.AVX2], dot=SIGNED)
    from .cases import default_kernel, random_case
    from .references import int64_result

    for kind, fields in KINDS.items():
        workload = BASE.model_copy(update=fields)
        case = random_case(workload)
        if not np.array_equal(case.run(default_kernel(workload, Isa.AVX2)), int64_result(case)):
            print(kind)


if __name__ == "__main__":
    main()
