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

from collections.abc import Sequence
from itertools import pairwise
from math import gcd, log2, prod
from typing import Any

import numpy as np

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.decisions import Tiles, read_choice
from tilewright_kernels.conv2d.dense.space import (
    NARROWING_CYCLES,
    narrow_tile,
    share_turn,
    split_tail,
    unroll_tile,
)
from tilewright_kernels.conv2d.divisors import divisors
from tilewright_kernels.conv2d.grouped.definition import LaneShape, lanewise, stores_vectors
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import pack_channels
from tilewright_kernels.conv2d.space import Choice, StructuredSpace
from tilewright_kernels.isa.dots import DOTS
from tilewright_kernels.schedule.tensorize import mark

MOST_CHUNK_BYTES = 500_000
"""Quads staged at a time: about half of a second-level cache."""

MOST_TILE_ROWS = 4

MOST_UNROLLED = 256
"""Dot products in a row: more take long to compile and fill the instruction cache."""


class LanewiseSpace(StructuredSpace):
    """groups > 1, any channels, multipliers, kernel, stride, dilation, padding and batch."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.name = f"grouped_{isa.value}"
        self.dot = DOTS[isa]

    def covers(self, workload: Workload, isa: Isa) -> bool:
        return isa is self.isa and workload.groups > 1

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

    def shape(self, workload: Workload) -> LaneShape:
        return LaneShape.of(workload, self.dot)

    def choices(self, workload: Workload, target: Target) -> list[Choice]:
        shape = self.shape(workload)
        found = [
            {"chunk": chunk, "chunk_rows": chunk_rows, "rows": rows, "groups": groups, "blocks": block}
            for rows, groups, block in self._tiles(workload, shape)
            for chunk in divisors(shape.blocks)
            if chunk % block == 0
            for chunk_rows in divisors(workload.out_height)
            if chunk_rows % rows == 0 and self._is_sensible(workload, chunk, chunk_rows)
        ]
        return sorted(found, key=lambda choice: self._expected_cost(workload, choice))

    def _tiles(self, workload: Workload, shape: LaneShape) -> list[tuple[int, int, int]]:
        tiles = [
            (rows, groups, block)
            for rows in divisors(workload.out_height)
            if rows <= MOST_TILE_ROWS
            for groups in divisors(shape.groups)
            for block in divisors(shape.blocks)
            if rows * groups * block * shape.outputs <= self.dot.registers - 4
        ]
        enough = min(max(map(prod, tiles)), 4)
        return [tile for tile in tiles if prod(tile) >= enough] or [(1, 1, 1)]

    def _is_sensible(self, workload: Workload, chunk: int, chunk_rows: int) -> bool:
        """Chunks that fit a cache; and of those with all rows or all channels only, to have fewer to try."""
        if chunk < self.shape(workload).blocks and chunk_rows < workload.out_height:
            return chunk == 1 and chunk_rows == 1
        return self._quad_bytes(workload, chunk, chunk_rows) <= MOST_CHUNK_BYTES or chunk == 1 or chunk_rows == 1

    def _quad_bytes(self, workload: Workload, chunk: int, chunk_rows: int) -> int:
        shape, extent = self.shape(workload), (workload.kernel_size[0] - 1) * workload.dilation[0] + 1
        rows = (chunk_rows - 1) * workload.stride[0] + extent
        return rows * shape.columns * shape.quads * chunk * self.dot.macs

    def _expected_cost(self, workload: Workload, choice: Choice) -> float:
        """Relative cycles: sums that hide latency, vectors narrowed together, quads made twice, cache misses."""
        sums = choice["rows"] * choice["groups"] * choice["blocks"] * self.shape(workload).outputs
        narrowing = NARROWING_CYCLES[gcd(choice["blocks"], 4)]
        size = self._quad_bytes(workload, choice["chunk"], choice["chunk_rows"])
        whole = self._quad_bytes(workload, choice["chunk"], workload.out_height)
        twice = size * workload.out_height / choice["chunk_rows"] / whole
        return float(9 / min(sums, 16) + narrowing + 1 / choice["rows"] + 2 * twice + size / MOST_CHUNK_BYTES)

    def choice_of(self, decisions: Sequence[Any], target: Target) -> Choice | None:
        return read_choice(decisions, [Tiles(("chunk", "blocks")), Tiles(("chunk_rows", "rows")), Tiles(("groups",))])

    def features(self, workload: Workload, target: Target, choice: Choice) -> list[float]:
        shape = self.shape(workload)
        rows, groups, block = choice["rows"], choice["groups"], choice["blocks"]
        return [
            float(rows),
            float(groups),
            float(block),
            float(gcd(block, 4)),
            float(rows * groups * block * shape.outputs),
            float(choice["chunk"]),
            log2(choice["chunk_rows"]),
            log2(self._quad_bytes(workload, choice["chunk"], choice["chunk_rows"])),
            log2(shape.blocks / choice["chunk"]),
            log2(workload.out_height),
            log2(workload.out_width),
            float(prod(workload.kernel_size)),
            float(workload.reduction),
            float(workload.stride[1]),
            log2(workload.batch),
            float(target.threads),
            *(float(workload.layout == layout) for layout in ("NCHW", "NCHW16c")),
        ]

    def schedule(self, sch: Any, workload: Workload, target: Target, choice: Choice | None = None) -> None:
        nest = self._tile(sch, workload, choice)
        attach_chunk(sch, nest)
        if target.threads > 1:
            sch.parallel(sch.fuse(nest["image"], nest["chunk"], nest["chunk_rows"]))
        if target.threads > 1 and workload.layout == "NCHW":
            for name in ("enter", *(["enter_residual"] if workload.residual else []), "leave"):
                share_turn(sch, name)
        keep_tile_in_registers(sch, self.dot.lane_name)
        whole_groups = workload.out_width % self.shape(workload).outputs == 0
        packs = whole_groups and stores_vectors(workload, self.dot)
        narrow_tile(sch, workload, self.dot, nest["unrolled"], nest["block_in_tile"], nest["lane"], packs)

    def _tile(self, sch: Any, workload: Workload, choice: Choice | None) -> dict[str, Any]:
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


def split(sch: Any, loop: Any, choice: Choice | None, *names: str) -> Any:
    """Cut a loop into tiles whose sizes `names` give, largest first: one loop more than there are names."""
    sizes = [int(sch.get(loop).extent), *(choice[name] for name in names), 1] if choice is not None else []
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
