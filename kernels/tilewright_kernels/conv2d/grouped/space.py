"""Depthwise and grouped convolutions on a dot-product instruction: each lane with k_groups of its own.

The loop nest, outermost first:

    image, channel chunk, row chunk           interleave the pixels that the chunk reads into k_groups
      row tile, column tile, block tile
        kernel row and column, k_group        the reduction, unrolled where it is short
          row, column group, output, block    the register tile, unrolled
            one dot-product instruction
        requantise the tile and store it
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from tvm.s_tir.schedule import LoopRV, Schedule
from tvm.tirx import PrimFunc

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.grouped.choices import GroupedChoices
from tilewright_kernels.conv2d.grouped.definition import grouped
from tilewright_kernels.conv2d.grouped.packing import pack_constants
from tilewright_kernels.conv2d.grouped.tiling import ChunkedTile, stores_vectors
from tilewright_kernels.conv2d.narrowing import narrow_tile
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.space import StructuredSpace
from tilewright_kernels.schedule.nest import Nest, attach, find_nest
from tilewright_kernels.schedule.parallel import share
from tilewright_kernels.schedule.registers import keep_in_registers, unroll
from tilewright_kernels.schedule.stage import share_transposes
from tilewright_kernels.schedule.tiles import split_tail, split_tiles

MOST_UNROLLED = 256
"""Dot products in a row: more take long to compile and fill the instruction cache."""

REDUCTION = "kh", "kw", "q"
SUMS = "h", "g", "o", "b"


@dataclass(frozen=True)
class ChunkedNest:
    """The loops around the results of a tile."""

    chunk: Sequence[LoopRV]
    """Over chunks: images, channels, rows."""
    tile: LoopRV
    """The innermost over tiles."""
    pixels: Sequence[LoopRV]
    """Inside a tile: rows, groups of columns, outputs."""
    block: LoopRV
    lane: LoopRV


class GroupedSpace(GroupedChoices, StructuredSpace[ChunkedTile]):
    """groups > 1, any channels, multipliers, kernel, stride, dilation, padding and batch."""

    def define(self, workload: Workload) -> PrimFunc:
        return grouped(workload, self.dot)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        return pack_constants(workload, values, self.dot)

    def schedule(self, sch: Schedule, workload: Workload, target: Target, choice: ChunkedTile | None = None) -> None:
        nest = self._tile(sch, workload, choice)
        sums = attach(sch, "conv", nest.tile)
        attach(sch, "interleave", nest.chunk[-1])
        if target.threads > 1:
            share(sch, nest.chunk)
            share_transposes(sch)
        keep_in_registers(sch, sums, REDUCTION, SUMS, self.dot.lane_name)
        unroll_reduction(sch, sums)
        whole_groups = workload.out_width % self.shape(workload).outputs == 0
        packs = whole_groups and stores_vectors(workload, self.dot)
        narrow_tile(sch, workload, self.dot, nest.pixels, nest.block, nest.lane, packs)

    def _tile(self, sch: Schedule, workload: Workload, choice: ChunkedTile | None) -> ChunkedNest:
        """Split the output into chunks that are staged and tiles that stay in registers."""
        whole = find_nest(sch, "requantise")
        if stores_vectors(workload, self.dot):
            block, lane = whole.pick("b", "l")
        else:
            block, lane = sch.split(whole["c"], [None, self.dot.lanes])
            lane = split_tail(sch, lane, workload.out_channels, self.dot.lanes)
        group, output = sch.split(whole["w"], [None, self.shape(workload).outputs])
        sizes = {} if choice is None else choice.sizes
        chunk, blocks, block_in_tile = split_tiles(sch, block, 2, sizes.get("blocks"))
        chunk_rows, rows, row = split_tiles(sch, whole["h"], 2, sizes.get("rows"))
        groups, group_in_tile = split_tiles(sch, group, 1, sizes.get("groups"))
        over_chunks, pixels = (whole["n"], chunk, chunk_rows), (row, group_in_tile, output)
        sch.reorder(*over_chunks, rows, groups, blocks, *pixels, block_in_tile)
        return ChunkedNest(over_chunks, blocks, pixels, block_in_tile, lane)


def unroll_reduction(sch: Schedule, sums: Nest) -> None:
    """The taps of a tile unrolled, so that a k_group is loaded once for all the outputs and kernel rows that use it."""
    products = prod(int(sch.get(loop).extent) for loop in sums.pick(*SUMS))
    for loop in reversed(sums.pick(*REDUCTION)):
        products *= int(sch.get(loop).extent)
        if products > MOST_UNROLLED:
            return
        unroll(sch, [loop])
