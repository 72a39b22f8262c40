"""Our own kernels, as peers are used."""

import numpy as np

from tilewright.contract.candidates import Candidate
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.runtime.kernel import Kernel, PackedConv, load_kernel


class OurConv:
    """A kernel, compiled for a candidate, or the default one without."""

    def __init__(self, workload: Workload, target: Target, values: Quantization, candidate: Candidate | None) -> None:
        kernel = load_kernel(workload, target) if candidate is None else Kernel(workload, target, candidate)
        self._packed = PackedConv(kernel, kernel.arguments(values))
        self._out = np.zeros(workload.output_shape, workload.out_dtype)

    def bind(self, x: Array) -> None:
        self._x = x

    def run(self) -> object:
        return self._packed(self._x, out=self._out)

    def __call__(self, x: Array) -> Array:
        return self._packed(x)
