# mypy: disable-error-code="no-any-unimported"
"""Depthwise and grouped convolutions on a dot-product instruction: each lane with quads of its own.

The loop nest, outermost first:

    image, channel chunk, row chunk       interleave the pixels that the chunk reads into quads
      row tile, column tile, block tile
        kernel row and column, quad       the reduction, unrolled where it is short
          row, column group, output, block   the register tile, unrolled
            one dot-product instruction
        requantise the tile and store it
"""

from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.dense.space import narrow_tile, share_turn, split_tail, unroll_tile
from tilewright_kernels.conv2d.grouped.choices import ChunkedTile, GroupedChoices, stores_vectors
from tilewright_kernels.conv2d.grouped.definition import lanewise
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import pack_channels
from tilewright_kernels.conv2d.space import StructuredSpace
from tilewright_kernels.schedule.tensorize import mark

MOST_UNROLLED = 256
"""Dot products in a row: more take long to compile and fill the instruction cache."""


class GroupedSpace(GroupedChoices, StructuredSpace[ChunkedTile]):
    """groups > 1, any channels, multipliers, kernel, stride, dilation, padding and batch."""

    def define(self, workload: Workload) -> Any:
        return lanewise(workload, self.dot)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        """weight as (block, output of a group, kernel height, kernel column, quad, lane, 4)."""
        shape = self.shape(workload)
        out_channels, group_in, kernel_h, kernel_w = workload.weight_shape
        dot, depth = self.dot, shape.quads * self.dot.products
        rows = np.zeros(
            (shape.blocks * dot.lanes, shape.outputs, kernel_h, shape.kernel_columns, depth), dot.weight_dtype
        )
        if group_in == 1:
            # Each output of a group sees the taps of its row shifted by its own place.
            for output in range(shape.outputs):
                first = output * workload.stride[1]
                last = first + (kernel_w - 1) * workload.dilation[1] + 1
                rows[:out_channels, output, :, 0, first : last : workload.dilation[1]] = values.weight[:, 0]
        else:
            rows[:out_channels, 0, :, :, :group_in] = values.weight.transpose(0, 2, 3, 1)
        packed = rows.reshape(shape.blocks, self.dot.lanes, *rows.shape[1:4], shape.quads, self.dot.products)
        return [
            np.ascontiguousarray(packed.transpose(0, 2, 3, 4, 5, 1, 6)),
            *pack_channels(workload, values, self.dot, groups=1),
        ]

    def schedule(self, sch: Any, workload: Workload, target: Target, choice: ChunkedTile | None = None) -> None:
        nest = self._tile(sch, workload, choice)
        attach_chunk(sch, nest)
        if target.threads > 1:
            sch.parallel(sch.fuse(nest["image"], nest["chunk"], nest["chunk_rows"]))
        if target.threads > 1 and workload.layout == "NCHW":
            for name in ("import_data", *(["import_residual"] if workload.residual else []), "export"):
                share_turn(sch, name)
        keep_tile_in_registers(sch, self.dot.lane_name)
        whole_groups = workload.out_width % self.shape(workload).outputs == 0
        packs = whole_groups and stores_vectors(workload, self.dot)
        narrow_tile(sch, workload, self.dot, nest["unrolled"], nest["block_in_tile"], nest["lane"], packs)

    def _tile(self, sch: Any, workload: Workload, choice: ChunkedTile | None) -> dict[str, Any]:
        """Split the output into chunks that are staged and tiles that stay in registers; all loops by name."""
        shape = self.shape(workload)
        requantise = sch.get_sblock("requantise")
        if stores_vectors(workload, self.dot):
            image, row, column, block, lane = sch.get_loops(requantise)
        else:
            image, row, column, channel = sch.get_loops(requantise)
            block, lane = sch.split(channel, [None, self.dot.lanes])
            lane = split_tail(sch, lane, workload.out_channels, self.dot.lanes)
        group, output = sch.split(column, [None, shape.outputs])
        chunk, blocks, block_in_tile = split(sch, block, choice, "chunk", "blocks")
        chunk_rows, rows, row_in_tile = split(sch, row, choice, "chunk_rows", "rows")
        groups, group_in_tile = split(sch, group, choice, "groups")
        sch.reorder(image, chunk, chunk_rows, rows, groups, blocks, row_in_tile, group_in_tile, output, block_in_tile)
        return {
            "image": image,
            "chunk": chunk,
            "chunk_rows": chunk_rows,
            "tile": blocks,
            "unrolled": [row_in_tile, group_in_tile, output],
            "block_in_tile": block_in_tile,
            "lane": lane,
        }


def split(sch: Any, loop: Any, choice: Any, *names: str) -> Any:
    """Cut a loop into tiles whose sizes `names` give, largest first: one loop more than there are names."""
    sizes = [int(sch.get(loop).extent), *(getattr(choice, name) for name in names), 1] if choice is not None else []
    decision = [outer // inner for outer, inner in pairwise(sizes)] if choice is not None else None
    factors = sch.sample_perfect_tile(loop, n=len(names) + 1, max_innermost_factor=16, decision=decision)
    return sch.split(loop, factors)


def attach_chunk(sch: Any, nest: dict[str, Any]) -> None:
    """The sums of a tile right before they are requantised, the quads of a chunk before its tiles."""
    sch.compute_at(sch.get_sblock("conv"), nest["tile"], preserve_unit_loops=True)
    sch.compute_at(sch.get_sblock("interleave"), nest["chunk_rows"], preserve_unit_loops=True)


def keep_tile_in_registers(sch: Any, instruction: str) -> None:
    """The taps of a tile unrolled, so that a quad is loaded once for all the outputs and kernel rows that use it."""
    conv = sch.get_sblock("conv")
    row, group, output, block, lane, kernel_row, kernel_column, quad, byte = sch.get_loops(conv)[-9:]
    sch.reorder(kernel_row, kernel_column, quad, row, group, output, block, lane, byte)
    unroll_tile(sch, sch.decompose_reduction(conv, kernel_row), loops=5)
    unrolled = [row, group, output, block]
    for loop in (quad, kernel_column, kernel_row):
        if prod(int(sch.get(each).extent) for each in (*unrolled, loop)) > MOST_UNROLLED:
            break
        unrolled.append(loop)
    for loop in unrolled:
        sch.unroll(loop)
    mark(sch, lane, instruction)
