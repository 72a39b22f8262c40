"""Convolutions of few input channels: register tiles as in dense kernels, the bytes of a kernel row as channels."""

from tvm.s_tir.schedule import LoopRV, Schedule
from tvm.tirx import PrimFunc

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.few_channels.choices import FewChannelsChoices, RowShape
from tilewright_kernels.conv2d.few_channels.definition import few_channels
from tilewright_kernels.conv2d.few_channels.packing import pack_constants
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.tiled_space import TiledSpace
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.layouts.table import whole_results
from tilewright_kernels.schedule.stage import place_copy


class FewChannelsSpace(FewChannelsChoices, TiledSpace):
    """groups = 1, input channels that are few and do not fill k_groups; any stride, padding and batch."""

    def define(self, workload: Workload) -> PrimFunc:
        return few_channels(workload, self.dot, self.loops(workload))

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        return pack_constants(workload, values, self.dot)

    def results(self, workload: Workload) -> Activations:
        return whole_results(workload, self.dot.lanes)

    def place_stage(self, sch: Schedule, workload: Workload, threads: int, image: LoopRV, row: LoopRV) -> None:
        """All at once: inside the loop over images it is cut down to what is read, and its vectors are not whole."""
        vector = RowShape.of(workload, self.dot).vector
        place_copy(sch, threads, None, rows=("n", "h"), channels="b", vector=vector)
