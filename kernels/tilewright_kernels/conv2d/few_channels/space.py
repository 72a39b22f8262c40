# mypy: disable-error-code="no-any-unimported"
"""Convolutions of few input channels: the dense nest, with the bytes of a kernel row as its channels."""

from math import ceil
from typing import Any

import numpy as np

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.dense.space import DenseSpace, place_stage
from tilewright_kernels.conv2d.few_channels.choices import FewChannelsChoices, RowShape
from tilewright_kernels.conv2d.few_channels.definition import few_channels
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import pack_channels
from tilewright_kernels.layouts.table import whole_results


class FewChannelsSpace(FewChannelsChoices, DenseSpace):
    """groups = 1, input channels that are few and do not fill quads; any stride, padding and batch."""

    def define(self, workload: Workload) -> Any:
        return few_channels(workload, self.dot, self.loops(workload))

    def planes(self, workload: Workload) -> Any:
        return whole_results(workload, self.dot.lanes)

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
