# mypy: disable-error-code="no-any-unimported"
"""Convolutions of few input channels: the dense nest, with the bytes of a kernel row as its channels."""

from math import ceil
from typing import Any

import numpy as np

from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.dense.definition import DenseShape
from tilewright_kernels.conv2d.dense.space import DenseSpace, place_stage
from tilewright_kernels.conv2d.few_channels.definition import RowShape, planes_of, rows
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import pack_channels
from tilewright_kernels.layouts.activations import Planes

FEW_CHANNELS = 16


class RowsSpace(DenseSpace):
    """groups = 1, input channels that are few and do not fill quads; any stride, padding and batch."""

    def __init__(self, isa: Isa) -> None:
        super().__init__(isa)
        self.name = f"few_channels_{isa.value}"

    def covers(self, workload: Workload, isa: Isa) -> bool:
        channels = workload.in_channels
        unfilled = channels < FEW_CHANNELS and channels % self.dot.products != 0
        is_simple = workload.groups == 1 and workload.dilation[1] == 1
        return isa is self.isa and is_simple and unfilled and self._saves_products(workload)

    def _saves_products(self, workload: Workload) -> bool:
        """Whether runs of taps take no more dot products than quads of channels; in NHWC they never take more."""
        taps, channels = workload.kernel_size[1], workload.in_channels
        row = RowShape.of(workload, self.dot)
        return row.planes * row.quads <= taps * ceil(channels / self.dot.products)

    def define(self, workload: Workload) -> Any:
        return rows(workload, self.dot)

    def shape(self, workload: Workload) -> DenseShape:
        batch, out_height, out_width, out_channels = workload.in_nhwc.output_shape
        blocks, quads = ceil(out_channels / self.dot.lanes), RowShape.of(workload, self.dot).quads
        return DenseShape(
            batch, 1, workload.height, workload.width, out_height, out_width, quads, blocks, self.dot.lanes
        )

    def needs_stage(self, workload: Workload) -> bool:
        return True

    def planes(self, workload: Workload) -> Planes:
        return planes_of(workload, self.dot)

    def stage_vector(self, workload: Workload) -> int:
        return RowShape.of(workload, self.dot).vector

    def attach_stage(self, sch: Any, workload: Workload, threads: int, image: Any, by_row: Any) -> None:
        """All at once: inside the loop over images it is cut down to what is read, and its vectors are not whole."""
        place_stage(sch, None, threads, self.stage_vector(workload))

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        """weight as (block, kernel height, plane, quad, lane, 4), the bytes of a run in the order of the data."""
        out_channels, _, kernel_h, kernel_w = workload.weight_shape
        row = RowShape.of(workload, self.dot)
        blocks, run = ceil(out_channels / self.dot.lanes), kernel_w * row.channels
        size = row.quads * self.dot.products
        weight = np.zeros((blocks * self.dot.lanes, kernel_h, row.planes, size), self.dot.weight_dtype)
        order = (0, 2, 1, 3) if workload.layout == "NCHW" else (0, 2, 3, 1)
        weight[:out_channels, ..., :run] = values.weight.transpose(order).reshape(out_channels, kernel_h, -1, run)
        packed = weight.reshape(blocks, self.dot.lanes, kernel_h, row.planes, row.quads, self.dot.products).transpose(
            0, 2, 3, 4, 1, 5
        )
        return [np.ascontiguousarray(packed), *pack_channels(workload, values, self.dot, groups=1)]
