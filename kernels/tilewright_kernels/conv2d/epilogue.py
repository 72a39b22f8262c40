"""Where the results of a kernel go, and what is done to a sum before."""

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.requantise import requantise, residual_addend
from tilewright_kernels.conv2d.signature import Arguments
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.layouts.traits import IMPORT_RESIDUAL
from tilewright_kernels.tir import Expr, Index


class Epilogue:
    """Made where its blocks belong: a layout may import the residual first, and `finish` may export the results."""

    def __init__(self, workload: Workload, results: Activations, given: Arguments) -> None:
        self._workload, self._results, self._given = workload, results, given
        self._residual = results.imported(given.residual, IMPORT_RESIDUAL) if workload.residual else None
        self.result = results.result(given.out)
        """The buffer that results are stored to."""

    def element(self, total: Expr, scale: Expr, index: Index) -> Expr:
        """The element of the result for `total` (int32, bias included); `index` is where a residual has its own."""
        addend = None
        if self._residual is not None:
            addend = residual_addend(self._residual.vload(list(index)), self._given.addition)
        return requantise(self._workload, total, scale, self._given.output, addend)

    def finish(self) -> None:
        """Once all results are stored."""
        self._results.export(self.result, self._given.out)
