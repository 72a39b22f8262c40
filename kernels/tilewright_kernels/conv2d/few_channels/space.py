# mypy: disable-error-code="no-any-unimported"
"""Convolutions of few input channels: register tiles as in dense kernels, the bytes of a kernel row as channels."""

from tvm.s_tir.schedule import LoopRV, Schedule
from tvm.tirx import PrimFunc

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.few_channels.choices import FewChannelsChoices, RowShape
from tilewright_kernels.conv2d.few_channels.definition import planes_of, rows
from tilewright_kernels.conv2d.few_channels.packing import pack_constants
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.tiled_space import TiledSpace
from tilewright_kernels.layouts.activations import Planes
from tilewright_kernels.schedule.stage import place_copy


class FewChannelsSpace(FewChannelsChoices, TiledSpace):
    """groups = 1, input channels that are few and do not fill k groups; any stride, padding and batch."""

    reduction = "kh", "p", "q"
    sums = "h", "w", "b"

    def define(self, workload: Workload) -> PrimFunc:
        return rows(workload, self.dot)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        return pack_constants(workload, values, self.dot)

    def planes(self, workload: Workload) -> Planes:
        return planes_of(workload, self.dot)

    def place_stage(self, sch: Schedule, workload: Workload, threads: int, image: LoopRV, row: LoopRV) -> None:
        """All at once: inside the loop over images it is cut down to what is read, and its vectors are not whole."""
        vector = RowShape.of(workload, self.dot).vector
        place_copy(sch, threads, None, rows=("n", "h"), channels="b", vector=vector)
