# mypy: disable-error-code="no-any-unimported"
"""Convolutions of few input channels: the dense nest, with the bytes of a kernel row as its channels."""

from math import ceil
from typing import Any

import numpy as np

from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright_kernels.definitions.dense import DenseShape
from tilewright_kernels.definitions.rows import RowShape, rows
from tilewright_kernels.numerics import Array, Quantization
from tilewright_kernels.spaces.dense import DenseSpace, pack_channels

FEW_CHANNELS = 16


class RowsSpace(DenseSpace):
    """groups = 1, input channels that are few and do not fill quads; any stride, padding and batch."""

    # A stage inside the loop over images is cut down to the bytes that are read, and its vectors are whole no more.
    stages_by_image = False

    def __init__(self, isa: Isa) -> None:
        super().__init__(isa)
        self.name = f"rows_{isa.value}"

    def covers(self, workload: Workload, isa: Isa) -> bool:
        channels = workload.in_channels
        unfilled = channels < FEW_CHANNELS and channels % self.dot.products != 0
        return isa is self.isa and workload.groups == 1 and unfilled and workload.dilation[1] == 1

    def define(self, workload: Workload) -> Any:
        return rows(workload, self.dot)

    def shape(self, workload: Workload) -> DenseShape:
        batch, out_height, out_width, out_channels = workload.output_shape
        blocks, quads = ceil(out_channels / self.dot.lanes), RowShape.of(workload, self.dot).quads
        return DenseShape(
            batch, 1, workload.height, workload.width, out_height, out_width, quads, blocks, self.dot.lanes
        )

    def needs_stage(self, workload: Workload) -> bool:
        return True

    def stage_vector(self, workload: Workload) -> int:
        return RowShape.of(workload, self.dot).vector

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        """weight as (block, kernel height, 1, quad, lane, 4), the bytes of a kernel row in the order of NHWC."""
        out_channels, in_channels, kernel_h, kernel_w = workload.weight_shape
        blocks, quads = ceil(out_channels / self.dot.lanes), RowShape.of(workload, self.dot).quads
        weight = np.zeros((blocks * self.dot.lanes, kernel_h, quads * self.dot.products), self.dot.weight_dtype)
        weight[:out_channels, :, : kernel_w * in_channels] = values.weight.transpose(0, 2, 3, 1).reshape(
            out_channels, kernel_h, kernel_w * in_channels
        )
        packed = weight.reshape(blocks, self.dot.lanes, kernel_h, 1, quads, self.dot.products).transpose(
            0, 2, 3, 4, 1, 5
        )
        return [np.ascontiguousarray(packed), *pack_channels(workload, values, self.dot, groups=1)]
