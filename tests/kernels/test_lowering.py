"""What TVM's lowering would do to a kernel if it were left alone."""

import pytest

from tilewright.contract.workload import Workload
from tilewright_kernels.runtime.kernel import Kernel

from .cases import default_kernel

POINTWISE = Workload(batch=1, in_channels=64, height=32, width=32, out_channels=64, kernel_size=(1, 1))
UNEVEN = POINTWISE.model_copy(update={"out_channels": 24})
PADDED = POINTWISE.model_copy(update={"kernel_size": (3, 3), "padding": (1, 1, 1, 1)})
DEPTHWISE = PADDED.model_copy(update={"groups": 64})


def allocations(kernel: Kernel) -> int:
    """Calls in the machine code that take memory from TVM's pool."""
    return sum("__TVMBackendAllocWorkspace@" in line for line in kernel.module.inspect_source("asm").splitlines())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("workload", [POINTWISE, UNEVEN], ids=lambda w: w.name)
def test_register_tiles_are_not_allocated_at_run_time(workload: Workload, threads: int) -> None:
    assert allocations(default_kernel(workload, threads=threads)) == 0


@pytest.mark.parametrize("workload", [PADDED, DEPTHWISE], ids=lambda w: w.name)
def test_only_the_staged_input_is_allocated_at_run_time(workload: Workload) -> None:
    assert allocations(default_kernel(workload)) == 1
