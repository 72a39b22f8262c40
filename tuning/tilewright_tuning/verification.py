"""The bit-exactness gate: a built kernel against the independent reference, on random and on extreme inputs."""

from dataclasses import dataclass

import numpy as np

from tilewright.contract.schedules import Verification
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import REFERENCE, reference
from tilewright_kernels.runtime.kernel import Kernel, PackedConv
from tilewright_tuning.test_inputs import verification_inputs

GUARD, GUARD_BYTES = 0xA5, 4096


@dataclass(frozen=True)
class Mismatch:
    """What was different, and for which inputs."""

    reason: str


def verify(kernel: Kernel) -> Verification | Mismatch:
    """Run the built kernel on all inputs: every element has to equal the reference, and no other byte may change."""
    names, elements, guarded = [], 0, GuardedOutput(kernel.workload)
    for inputs in verification_inputs(kernel.workload):
        expected = reference(kernel.workload, inputs.data, inputs.values, inputs.residual)
        actual = PackedConv(kernel, kernel.arguments(inputs.values))(inputs.data, guarded.array, inputs.residual)
        if not guarded.is_intact():
            return Mismatch(f"the kernel writes outside its output for {inputs.name}")
        different = int(np.count_nonzero(actual != expected))
        if different:
            return Mismatch(f"{different} of {expected.size} elements differ for {inputs.name}")
        names.append(inputs.name)
        elements += expected.size
    return Verification(reference=REFERENCE, inputs=names, elements=elements)


class GuardedOutput:
    """An output array with memory around it that a kernel has no business in.

    LLVM has made kernels that write a few bytes too many: their results were right, and the heap was not.
    """

    def __init__(self, workload: Workload) -> None:
        dtype = np.dtype(workload.out_dtype)
        size = int(np.prod(workload.output_shape)) * dtype.itemsize
        memory = np.full(size + 2 * GUARD_BYTES, GUARD, np.uint8)
        self._before, middle, self._after = np.split(memory, [GUARD_BYTES, GUARD_BYTES + size])
        self.array = middle.view(dtype).reshape(workload.output_shape)

    def is_intact(self) -> bool:
        return bool((self._before == GUARD).all() and (self._after == GUARD).all())
