"""`python -m tests.kernels.signed_dot`: kernels of a path whose dot product multiplies signed data, as ARM's SDOT does.

No x86 host of ours has one, so its sums are spelled out, in place of the path AVX2. Prints each kernel and whether it is
exact.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script import tirx as T  # noqa: N812

from tilewright.contract import Isa, Workload
from tilewright_kernels.isa import intrinsics, x86
from tilewright_kernels.isa.dots import Dot

SIGNED = Dot(Isa.AVX2, x86.YMM, 4, "int8", "int8", "spelled out", "vpmulld", accumulates=True)


def multiply_add(dot: Dot, total: Any, data: Any, weight: Any) -> Any:
    for byte in range(dot.products):
        of_lanes = [lane * dot.products + byte for lane in range(dot.lanes)]
        factors = (T.Cast(f"int32x{dot.lanes}", tirx.Shuffle([each], of_lanes)) for each in (data, weight))
        first, second = factors
        total = total + first * second
    return total


def workloads() -> list[Workload]:
    base = Workload(batch=1, in_channels=32, height=9, width=9, out_channels=32, kernel_size=(3, 3), padding=(1, 1, 1, 1))
    kinds: list[dict[str, Any]] = [
        {},
        {"groups": 4, "out_channels": 12},
        {"in_channels": 3},
        {"groups": 32},
        {"groups": 32, "in_channels": 32, "out_channels": 64},
        {"groups": 8},
        {"groups": 32, "kernel_size": (5, 5), "padding": (2, 2, 2, 2)},
    ]
    return [
        base.model_copy(update={**kind, "data_dtype": dtype, "layout": layout})
        for kind in kinds
        for dtype in ("uint8", "int8")
        for layout in ("NHWC", "NCHW")
    ]


def main() -> None:
    intrinsics.multiply_add = multiply_add
    from tilewright_kernels.isa.paths import PATHS

    PATHS[Isa.AVX2] = replace(PATHS[Isa.AVX2], dot=SIGNED)
    from .cases import default_kernel, random_case
    from .references import int64_result

    for workload in workloads():
        kernel = default_kernel(workload, Isa.AVX2)
        case = random_case(workload)
        exact = np.array_equal(case.run(kernel), int64_result(case))
        print(kernel.candidate.space, workload.data_dtype, workload.layout, "exact" if exact else "WRONG", flush=True)


if __name__ == "__main__":
    main()
