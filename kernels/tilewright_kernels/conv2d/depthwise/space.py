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

from collections.abc import Sequence
from math import log2, prod
from typing import Any

import numpy as np

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.decisions import Category, Tiles, read_choice
from tilewright_kernels.conv2d.dense.space import (
    sample_order,
    share_turn,
    unroll_tile,
)
from tilewright_kernels.conv2d.depthwise.definition import VECTORS, DepthwiseShape, depthwise
from tilewright_kernels.conv2d.divisors import divisors
from tilewright_kernels.conv2d.grouped.space import split
from tilewright_kernels.conv2d.numerics import QUANTIZED_RANGE, Array, Quantization
from tilewright_kernels.conv2d.packing import fold_zero_point, in_blocks, instruction_zero_point
from tilewright_kernels.conv2d.space import Choice, StructuredSpace
from tilewright_kernels.isa.dots import DOTS
from tilewright_kernels.schedule.tensorize import mark

ORDERS = (
    ("rows", "groups", "block"),  # all channels of a pixel together, as they lie in memory
    ("rows", "block", "groups"),  # the weights of a block stay in registers or L1 along a row
    ("block", "rows", "groups"),  # one block of channels for all rows of the chunk
)

MOST_TILE_ROWS = 4

MOST_ZIPS = 32
"""Rows of quads that one row of outputs reads."""

MOST_UNROLLED = 400
"""Dot products in a tile: more take long to compile and fill the instruction cache."""


class DepthwiseSpace(StructuredSpace):
    """One input and one output channel a group, results of one byte; any stride, padding, dilation and batch."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.name = f"depthwise_{isa.value}"
        self.dot = DOTS[isa]

    def covers(self, workload: Workload, isa: Isa) -> bool:
        is_depthwise = workload.in_channels == workload.groups == workload.out_channels > 1
        is_plain = workload.out_dtype in QUANTIZED_RANGE and not workload.residual
        return (
            isa is self.isa and is_depthwise and is_plain and self._is_small(workload) and self._zips_little(workload)
        )

    def _is_small(self, workload: Workload) -> bool:
        """A kernel that is unrolled whole, with the rows and columns between its taps."""
        shape = self.shape(workload)
        products = VECTORS * shape.outputs * workload.kernel_size[0] * shape.quads
        return self._tile_rows(workload, 1) * shape.quads <= MOST_ZIPS and products <= MOST_UNROLLED

    def _tile_rows(self, workload: Workload, rows: int) -> int:
        """Rows of pixels that so many rows of outputs read."""
        return (rows - 1) * workload.stride[0] + (workload.kernel_size[0] - 1) * workload.dilation[0] + 1

    def _zips_little(self, workload: Workload) -> bool:
        """Several quads a row that many outputs share are better made once and stored, as `lanewise` does it."""
        has_one_quad = self.shape(workload).quads == 1
        return has_one_quad or workload.stride[1] > 1 or workload.out_channels % self.dot.lanes != 0

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

    def shape(self, workload: Workload) -> DepthwiseShape:
        return DepthwiseShape.of(workload, self.dot)

    def choices(self, workload: Workload, target: Target) -> list[Choice]:
        shape = self.shape(workload)
        found = [
            {"chunk_rows": chunk_rows, "rows": rows, "groups": groups, "order": order}
            for rows, groups in self._tiles(workload, shape)
            for chunk_rows in divisors(workload.out_height)
            if chunk_rows % rows == 0
            for order in self._orders(workload, chunk_rows // rows)
        ]
        shared = [each for each in found if chunks(workload, each["chunk_rows"]) >= target.threads]
        return sorted(shared or found, key=lambda choice: self._expected_cost(workload, choice))

    def _orders(self, workload: Workload, row_tiles: int) -> list[int]:
        """Those that differ: without several blocks, or several row tiles, some are the same."""
        if self.shape(workload).blocks == 1:
            return [0]
        return [0, 1] if row_tiles == 1 else [0, 1, 2]

    def _tiles(self, workload: Workload, shape: DepthwiseShape) -> list[tuple[int, int]]:
        tiles = [
            (rows, groups)
            for rows in divisors(workload.out_height)
            if rows <= MOST_TILE_ROWS
            for groups in divisors(shape.groups)
            if VECTORS * rows * groups * shape.outputs <= self.dot.registers - 8
            and VECTORS * rows * groups * shape.outputs * workload.kernel_size[0] * shape.quads <= MOST_UNROLLED
        ]
        return tiles or [(1, 1)]

    def _staged_bytes(self, workload: Workload, chunk_rows: int) -> int:
        return self._tile_rows(workload, chunk_rows) * self.shape(workload).row_bytes

    def _zips(self, workload: Workload, rows: int) -> float:
        """Rows of quads that are zipped for one row of outputs."""
        return self._tile_rows(workload, rows) / rows

    def _expected_cost(self, workload: Workload, choice: Choice) -> float:
        """Relative cycles: quads zipped more than once, rows copied more than once, copies that leave L1."""
        zips = self._zips(workload, choice["rows"])
        copies = self._zips(workload, choice["chunk_rows"])
        size = self._staged_bytes(workload, choice["chunk_rows"])
        return float(zips + copies + 0.3 * log2(max(size / 32_000, 1)) + 0.1 * choice["order"])

    def choice_of(self, decisions: Sequence[Any], target: Target) -> Choice | None:
        order = Category("order", tuple(range(len(ORDERS))))
        return read_choice(decisions, [Tiles(("chunk_rows", "rows")), Tiles(("groups",)), order])

    def features(self, workload: Workload, target: Target, choice: Choice) -> list[float]:
        shape = self.shape(workload)
        rows, groups = choice["rows"], choice["groups"]
        return [
            float(rows),
            float(groups),
            float(VECTORS * rows * groups * shape.outputs),
            self._zips(workload, rows),
            self._zips(workload, choice["chunk_rows"]),
            log2(choice["chunk_rows"]),
            log2(self._staged_bytes(workload, choice["chunk_rows"])),
            *(float(choice["order"] == order) for order in range(len(ORDERS))),
            float(shape.slots),
            float(shape.outputs),
            float(shape.blocks),
            log2(workload.out_height),
            log2(workload.out_width),
            float(prod(workload.kernel_size)),
            float(workload.stride[1]),
            log2(workload.batch),
            float(target.threads),
            *(float(workload.layout == layout) for layout in ("NCHW", "NCHW16c")),
        ]

    def schedule(self, sch: Any, workload: Workload, target: Target, choice: Choice | None = None) -> None:
        image, row, group, block, output = sch.get_loops(sch.get_sblock("requantise"))
        chunk, rows, row_in_tile = split(sch, row, choice, "chunk_rows", "rows")
        groups, group_in_tile = split(sch, group, choice, "groups")
        loops = {"rows": rows, "groups": groups, "block": block}
        outer = [loops[name] for name in sample_order(sch, ORDERS, choice)]
        sch.reorder(image, chunk, *outer, row_in_tile, group_in_tile, output)
        tile = outer[-1]
        sch.compute_at(sch.get_sblock("conv"), tile, preserve_unit_loops=True)
        sch.compute_at(sch.get_sblock("zip"), tile, preserve_unit_loops=True)
        sch.compute_at(sch.get_sblock("stage"), chunk, preserve_unit_loops=True)
        if target.threads > 1:
            sch.parallel(sch.fuse(image, chunk))
        if target.threads > 1 and workload.layout == "NCHW":
            share_turn(sch, "enter")
            share_turn(sch, "leave")
        keep_tile_in_registers(sch, self.dot.register_name)
        for loop in (*sch.get_loops(sch.get_sblock("zip"))[-4:], row_in_tile, group_in_tile, output):
            sch.unroll(loop)


def chunks(workload: Workload, chunk_rows: int) -> int:
    """What threads can share: images times chunks of rows."""
    return workload.batch * workload.out_height // chunk_rows


def keep_tile_in_registers(sch: Any, instruction: str) -> None:
    """Every dot product of the tile written out: its sums and quads are values, not memory."""
    conv = sch.get_sblock("conv")
    row, group, block, output, vector, lane, kernel_row, quad, byte = sch.get_loops(conv)[-9:]
    sch.reorder(kernel_row, quad, row, group, block, output, vector, lane, byte)
    unroll_tile(sch, sch.decompose_reduction(conv, kernel_row), loops=6)
    for loop in (kernel_row, quad, row, group, block, output, vector):
        sch.unroll(loop)
    mark(sch, lane, instruction)
