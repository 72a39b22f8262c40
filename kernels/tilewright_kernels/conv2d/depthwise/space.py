# mypy: disable-error-code="no-any-unimported"
"""Depthwise convolutions to bytes on a dot-product instruction: quads are zipped in registers, tile by tile.

The loop nest, outermost first (`order` permutes the three after the chunk):

    image, row chunk                       copy the rows that the chunk reads, with their padding
      row tile, column tile, channel block
        zip the pixels of the tile into quads, in registers
        kernel row, row, column group, output, vector     unrolled
          one dot-product instruction
        pack the sums of four vectors into one vector of bytes and store it
"""

from typing import Any

import numpy as np

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.dense.space import sample_order, share_turn, unroll_tile
from tilewright_kernels.conv2d.depthwise.choices import ORDERS, VECTORS, Chunking, DepthwiseChoices, DepthwiseShape
from tilewright_kernels.conv2d.depthwise.definition import depthwise
from tilewright_kernels.conv2d.grouped.space import split
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import fold_zero_point, in_blocks, instruction_zero_point
from tilewright_kernels.conv2d.space import StructuredSpace
from tilewright_kernels.schedule.tensorize import mark


class DepthwiseSpace(DepthwiseChoices, StructuredSpace[Chunking]):
    """One input and one output channel a group, results of one byte; any stride, padding, dilation and batch."""

    def define(self, workload: Workload) -> Any:
        return depthwise(workload, self.dot)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        """weight as (block, output of a group, kernel height, quad, vector, lane, 4), channels in unpack order."""
        shape, dot, channels = self.shape(workload), self.dot, workload.out_channels
        (kernel_h, kernel_w), dilation = workload.kernel_size, workload.dilation[1]
        depth = shape.quads * dot.products
        rows = np.zeros((shape.blocks * shape.channels, shape.outputs, kernel_h, depth), dot.weight_dtype)
        for output in range(shape.outputs):
            # Each output of a group sees the taps of its row shifted by its own place.
            first = output * workload.stride[1]
            last = first + (kernel_w - 1) * dilation + 1
            rows[:channels, output, :, first:last:dilation] = values.weight[:, 0]
        in_lanes = self._in_unpack_order(shape, rows)
        weight = in_lanes.reshape(*in_lanes.shape[:-1], shape.quads, dot.products).transpose(0, 3, 4, 5, 1, 2, 6)
        zero_point = instruction_zero_point(workload, values, dot)
        folded = fold_zero_point(values, zero_point)
        return [
            np.ascontiguousarray(weight),
            self._in_unpack_order(shape, in_blocks(folded, 1, shape.channels).ravel()),
            self._in_unpack_order(shape, in_blocks(values.scale.astype(np.float32), 1, shape.channels).ravel()),
            np.array([zero_point], np.int32),
        ]

    def _in_unpack_order(self, shape: DepthwiseShape, channels: Array) -> Array:
        """(channel, ...) as (block, vector, lane, ...), once for every slot."""
        lanes = self.dot.lanes
        vector, lane = np.arange(VECTORS)[:, None], np.arange(lanes)[None, :]
        order = (16 * (lane // 4) + 4 * vector + lane % 4) % shape.channels
        blocked = channels.reshape(shape.blocks, shape.channels, *channels.shape[1:])
        return np.ascontiguousarray(blocked[:, order])

    def schedule(self, sch: Any, workload: Workload, target: Target, choice: Chunking | None = None) -> None:
        image, row, group, block, output = sch.get_loops(sch.get_sblock("requantise"))
        chunk, rows, row_in_tile = split(sch, row, choice, "chunk_rows", "rows")
        groups, group_in_tile = split(sch, group, choice, "groups")
        loops = {"rows": rows, "groups": groups, "block": block}
        outer = [loops[name] for name in sample_order(sch, ORDERS, None if choice is None else choice.order)]
        sch.reorder(image, chunk, *outer, row_in_tile, group_in_tile, output)
        tile = outer[-1]
        sch.compute_at(sch.get_sblock("conv"), tile, preserve_unit_loops=True)
        sch.compute_at(sch.get_sblock("interleave"), tile, preserve_unit_loops=True)
        sch.compute_at(sch.get_sblock("stage"), chunk, preserve_unit_loops=True)
        if target.threads > 1:
            sch.parallel(sch.fuse(image, chunk))
        if target.threads > 1 and workload.layout == "NCHW":
            share_turn(sch, "import_data")
            share_turn(sch, "export")
        keep_tile_in_registers(sch, self.dot.register_name)
        for loop in (*sch.get_loops(sch.get_sblock("interleave"))[-4:], row_in_tile, group_in_tile, output):
            sch.unroll(loop)


def keep_tile_in_registers(sch: Any, instruction: str) -> None:
    """Every dot product of the tile written out: its sums and quads are values, not memory."""
    conv = sch.get_sblock("conv")
    row, group, block, output, vector, lane, kernel_row, quad, byte = sch.get_loops(conv)[-9:]
    sch.reorder(kernel_row, quad, row, group, block, output, vector, lane, byte)
    unroll_tile(sch, sch.decompose_reduction(conv, kernel_row), loops=6)
    for loop in (kernel_row, quad, row, group, block, output, vector):
        sch.unroll(loop)
    mark(sch, lane, instruction)
