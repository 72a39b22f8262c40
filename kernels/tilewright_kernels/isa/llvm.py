"""What LLVM is asked to generate code for."""

import tvm

from tilewright.contract.target import Isa
from tilewright_kernels.isa.paths import PATHS

OPT_LEVEL = 2
"""LLVM's O3 doubles the build time of these kernels and leaves their speed as it is."""


def llvm_target(isa: Isa, threads: int = 1) -> tvm.target.Target:
    """The TVM target that generates code for `isa`, on whatever machine."""
    path = PATHS[isa]
    return tvm.target.Target(
        {
            "kind": "llvm",
            "mtriple": path.architecture.triple,
            "mcpu": path.cpu,
            "mattr": list(path.features),
            "opt-level": OPT_LEVEL,
            "num-cores": threads,
        }
    )
