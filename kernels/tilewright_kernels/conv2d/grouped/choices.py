"""Grouped convolutions of few channels a group, each lane with data of its own: which there are, what can be chosen."""

from dataclasses import dataclass
from math import ceil, gcd, log2, prod

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import fills_blocks
from tilewright_kernels.conv2d.choices import ChoiceSpace
from tilewright_kernels.conv2d.divisors import divisors
from tilewright_kernels.conv2d.tiling import NARROWING_CYCLES
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.paths import PATHS
from tilewright_kernels.layouts.traits import traits_of

MOST_CHUNK_BYTES = 500_000
"""Quads staged at a time: about half of a second-level cache."""

MOST_TILE_ROWS = 4

ENOUGH_SUMS = 4
"""Of a tile, where it can have them: fewer hide too little of the latency."""

SPARE_REGISTERS = 4
"""What data, weights and constants take beside the sums of a tile."""

SUMS_TO_HIDE_LATENCY = 16
LATENCY_COST = 9
"""Of a tile with one sum, next to requantising; it falls until there are SUMS_TO_HIDE_LATENCY."""

REPEATED_COST = 2
"""Of staging everything once more."""


@dataclass(frozen=True)
class ChunkedTile:
    """A chunk of rows and channel blocks whose quads are staged, and the register tile inside it."""

    chunk: int
    chunk_rows: int
    rows: int
    groups: int
    blocks: int


class GroupedChoices(ChoiceSpace[ChunkedTile]):
    """groups > 1, any channels, multipliers, kernel, stride, dilation, padding and batch."""

    decisions = ChunkedTile

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.name = f"grouped_{isa.value}"
        self.dot = PATHS[isa].dot

    def covers(self, workload: Workload, isa: Isa) -> bool:
        return isa is self.isa and workload.groups > 1

    def shape(self, workload: Workload) -> "LaneShape":
        return LaneShape.of(workload, self.dot)

    def candidates(self, workload: Workload, target: Target) -> list[ChunkedTile]:
        shape = self.shape(workload)
        found = [
            ChunkedTile(chunk, chunk_rows, rows, groups, block)
            for rows, groups, block in self._tiles(workload, shape)
            for chunk in divisors(shape.blocks)
            if chunk % block == 0
            for chunk_rows in divisors(workload.out_height)
            if chunk_rows % rows == 0 and self._is_sensible(workload, chunk, chunk_rows)
        ]
        return sorted(found, key=lambda tile: self.expected_cost(workload, tile))

    def fits(self, workload: Workload, target: Target, decisions: ChunkedTile) -> bool:
        shape = self.shape(workload)
        cut = (
            (shape.blocks, decisions.chunk),
            (decisions.chunk, decisions.blocks),
            (workload.out_height, decisions.chunk_rows),
            (decisions.chunk_rows, decisions.rows),
            (shape.groups, decisions.groups),
        )
        tile = decisions.rows, decisions.groups, decisions.blocks
        is_whole = all(size > 0 and extent % size == 0 for extent, size in cut)
        return is_whole and (tile == (1, 1, 1) or self._fits(shape, *tile))

    def expected_cost(self, workload: Workload, decisions: ChunkedTile) -> float:
        """Relative cycles: sums that hide latency, vectors narrowed together, quads made twice, cache misses."""
        sums = decisions.rows * decisions.groups * decisions.blocks * self.shape(workload).outputs
        latency = LATENCY_COST / min(sums, SUMS_TO_HIDE_LATENCY)
        narrowing = NARROWING_CYCLES[gcd(decisions.blocks, 4)]
        size = self._quad_bytes(workload, decisions.chunk, decisions.chunk_rows)
        whole = self._quad_bytes(workload, decisions.chunk, workload.out_height)
        twice = size * workload.out_height / decisions.chunk_rows / whole
        return float(latency + narrowing + 1 / decisions.rows + REPEATED_COST * twice + size / MOST_CHUNK_BYTES)

    def features(self, workload: Workload, target: Target, decisions: ChunkedTile) -> list[float]:
        shape = self.shape(workload)
        rows, groups, block = decisions.rows, decisions.groups, decisions.blocks
        return [
            float(rows),
            float(groups),
            float(block),
            float(gcd(block, 4)),
            float(rows * groups * block * shape.outputs),
            float(decisions.chunk),
            log2(decisions.chunk_rows),
            log2(self._quad_bytes(workload, decisions.chunk, decisions.chunk_rows)),
            log2(shape.blocks / decisions.chunk),
            log2(workload.out_height),
            log2(workload.out_width),
            float(prod(workload.kernel_size)),
            float(workload.reduction),
            float(workload.stride[1]),
            log2(workload.batch),
            float(target.threads),
            *(float(workload.layout == layout) for layout in ("NCHW", "NCHW16c")),
        ]

    def _tiles(self, workload: Workload, shape: "LaneShape") -> list[tuple[int, int, int]]:
        tiles = [
            (rows, groups, block)
            for rows in divisors(workload.out_height)
            if rows <= MOST_TILE_ROWS
            for groups in divisors(shape.groups)
            for block in divisors(shape.blocks)
            if self._fits(shape, rows, groups, block)
        ]
        if not tiles:
            return [(1, 1, 1)]
        enough = min(max(map(prod, tiles)), ENOUGH_SUMS)
        return [tile for tile in tiles if prod(tile) >= enough]

    def _fits(self, shape: "LaneShape", rows: int, groups: int, block: int) -> bool:
        return rows * groups * block * shape.outputs <= self.dot.registers - SPARE_REGISTERS

    def _is_sensible(self, workload: Workload, chunk: int, chunk_rows: int) -> bool:
        """Chunks that fit a cache; and of those with all rows or all channels only, to have fewer to try."""
        if chunk < self.shape(workload).blocks and chunk_rows < workload.out_height:
            return chunk == 1 and chunk_rows == 1
        return self._quad_bytes(workload, chunk, chunk_rows) <= MOST_CHUNK_BYTES or chunk == 1 or chunk_rows == 1

    def _quad_bytes(self, workload: Workload, chunk: int, chunk_rows: int) -> int:
        shape, extent = self.shape(workload), (workload.kernel_size[0] - 1) * workload.dilation[0] + 1
        rows = (chunk_rows - 1) * workload.stride[0] + extent
        return rows * shape.columns * shape.quads * chunk * self.dot.macs


@dataclass(frozen=True)
class LaneShape:
    """How outputs read quads along a row: output column = group * `outputs` + output of the group."""

    quads: int
    """Quads of one kernel column."""
    outputs: int
    """Neighbouring output columns that read the same quads."""
    groups: int
    """Groups of columns in an output row; the last may stick out."""
    kernel_columns: int
    """Columns of quads that an output reads, `dilation` apart; 1 where a quad holds the taps of a row."""
    dilation: int
    step: int
    """Columns of quads from one group to the next."""
    columns: int
    """Columns of quads that are staged."""
    pixel_step: int
    """Pixels from one column of quads to the next."""
    blocks: int
    """Blocks of output channels, one channel a lane."""

    @classmethod
    def of(cls, workload: Workload, dot: Dot) -> "LaneShape":
        blocks = ceil(workload.out_channels / dot.lanes)
        if workload.in_channels == workload.groups:
            return cls._of_taps(workload, blocks, dot.products)
        kernel_columns, dilation, step = workload.kernel_size[1], workload.dilation[1], workload.stride[1]
        columns = (workload.out_width - 1) * step + (kernel_columns - 1) * dilation + 1
        quads = ceil(workload.in_channels // workload.groups / dot.products)
        return cls(quads, 1, workload.out_width, kernel_columns, dilation, step, columns, 1, blocks)

    @classmethod
    def _of_taps(cls, workload: Workload, blocks: int, products: int) -> "LaneShape":
        stride = workload.stride[1]
        extent = (workload.kernel_size[1] - 1) * workload.dilation[1] + 1
        quads = ceil(extent / products)
        outputs = min((quads * products - extent) // stride + 1, workload.out_width)
        groups = ceil(workload.out_width / outputs)
        return cls(quads, outputs, groups, 1, 1, 1, groups, outputs * stride, blocks)


def loads_vectors(workload: Workload, dot: Dot) -> bool:
    """Whether quads can be made of whole vectors: no lane without a channel, and pixels that split evenly."""
    group_in, group_out = workload.in_channels // workload.groups, workload.out_channels // workload.groups
    lanes, products = dot.lanes, dot.products
    if workload.out_channels % lanes or not dot.multiplies_bytes:
        return False
    if group_in == 1:
        return group_out == 1
    if dot.vectors.permute is None:
        return False
    size = lanes // group_out * group_in
    return lanes % group_out == 0 and group_in % products == 0 and size <= dot.macs and size & (size - 1) == 0


def stores_vectors(workload: Workload, dot: Dot) -> bool:
    """Whether results are stored as whole vectors: in NCHW always, as the buffer before it has room for them."""
    return traits_of(workload).is_transposed or fills_blocks(workload.out_channels, dot.lanes)
