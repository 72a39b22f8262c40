"""Dense convolutions on a dot-product instruction: one broadcast a pixel, no shuffles."""

from math import gcd

from tvm.s_tir.schedule import LoopRV, Schedule
from tvm.tirx import PrimFunc

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import CACHE_LINE, group_in
from tilewright_kernels.conv2d.dense.choices import DenseChoices
from tilewright_kernels.conv2d.dense.definition import dense, results_of
from tilewright_kernels.conv2d.dense.packing import pack_constants
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.tiled_space import TiledSpace
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.layouts.traits import traits_of
from tilewright_kernels.schedule.stage import STAGE, place_copy, place_import


class DenseSpace(DenseChoices, TiledSpace):
    """Groups of many channels, or one; any stride, padding, dilation and batch."""

    def define(self, workload: Workload) -> PrimFunc:
        return dense(workload, self.dot)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        return pack_constants(workload, values, self.dot)

    def results(self, workload: Workload) -> Activations:
        return results_of(workload, self.dot)

    def place_stage(self, sch: Schedule, workload: Workload, threads: int, image: LoopRV, row: LoopRV) -> None:
        """An image at a time, so that it stays in cache; in NCHW a row where rows do not share their data."""
        if traits_of(workload).is_transposed:
            place_import(sch, sch.get_sblock(STAGE), threads, row if workload.kernel_size[0] == 1 else image)
        elif self.needs_stage(workload):
            place_copy(sch, threads, image, rows=("n", "g", "h"), channels="c", vector=self._copied_channels(workload))

    def _copied_channels(self, workload: Workload) -> int:
        """How many channels one copy moves: as many as are all inside the image or all outside."""
        return gcd(group_in(workload), traits_of(workload).channels_together or CACHE_LINE)
