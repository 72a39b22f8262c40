"""Depthwise convolutions to bytes: which there are, how their pixels share vectors, and what can be chosen."""

from dataclasses import dataclass
from math import ceil, log2, prod

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.choices import ChoiceSpace
from tilewright_kernels.conv2d.divisors import divisors
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.paths import PATHS

VECTORS = 4
"""Vectors of sums to one vector of bytes."""

SLOT_COST = 0.2
"""What one more slot costs in staging, next to computing with a vector."""

ORDERS = (
    ("rows", "groups", "block"),  # all channels of a pixel together, as they lie in memory
    ("rows", "block", "groups"),  # the weights of a block stay in registers or L1 along a row
    ("block", "rows", "groups"),  # one block of channels for all rows of the chunk
)

BYTES = ("uint8", "int8")

MOST_TILE_ROWS = 4

MOST_ZIPS = 32
"""Rows of quads that one row of outputs reads."""

MOST_UNROLLED = 400
"""Dot products in a tile: more take long to compile and fill the instruction cache."""

SPARE_REGISTERS = 8
"""What pixels, weights and constants take beside the sums of a tile."""

FIRST_LEVEL_BYTES = 32_000
MISS_COST = 0.3
"""Of each doubling of the staged rows above the first-level cache, next to one row that is zipped or copied."""

ORDER_COST = 0.1


@dataclass(frozen=True)
class Chunking:
    """A chunk of rows that is staged, the register tile inside it, and how the loops between are ordered."""

    chunk_rows: int
    rows: int
    groups: int
    order: int
    """Which of ORDERS."""


class DepthwiseChoices(ChoiceSpace[Chunking]):
    """One input and one output channel a group, results of one byte; any stride, padding, dilation and batch."""

    decisions = Chunking

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.name = f"depthwise_{isa.value}"
        self.dot = PATHS[isa].dot

    def covers(self, workload: Workload, isa: Isa) -> bool:
        is_depthwise = workload.in_channels == workload.groups == workload.out_channels > 1
        is_plain = workload.out_dtype in BYTES and not workload.residual
        return (
            isa is self.isa and is_depthwise and is_plain and self._is_small(workload) and self._zips_little(workload)
        )

    def shape(self, workload: Workload) -> "DepthwiseShape":
        return DepthwiseShape.of(workload, self.dot)

    def candidates(self, workload: Workload, target: Target) -> list[Chunking]:
        shape = self.shape(workload)
        found = [
            Chunking(chunk_rows, rows, groups, order)
            for rows, groups in self._tiles(workload, shape)
            for chunk_rows in divisors(workload.out_height)
            if chunk_rows % rows == 0
            for order in self._orders(workload, chunk_rows // rows)
        ]
        shared = [each for each in found if chunks(workload, each.chunk_rows) >= target.threads]
        return sorted(shared or found, key=lambda chunking: self.expected_cost(workload, chunking))

    def fits(self, workload: Workload, target: Target, decisions: Chunking) -> bool:
        shape = self.shape(workload)
        cut = (
            (workload.out_height, decisions.chunk_rows),
            (decisions.chunk_rows, decisions.rows),
            (shape.groups, decisions.groups),
        )
        is_whole = all(size > 0 and extent % size == 0 for extent, size in cut)
        tile = decisions.rows, decisions.groups
        return is_whole and decisions.order < len(ORDERS) and (tile == (1, 1) or self._fits(workload, shape, *tile))

    def expected_cost(self, workload: Workload, decisions: Chunking) -> float:
        """Relative cycles: quads zipped more than once, rows copied more than once, copies that leave L1."""
        zips = self._zips(workload, decisions.rows)
        copies = self._zips(workload, decisions.chunk_rows)
        size = self._staged_bytes(workload, decisions.chunk_rows)
        misses = MISS_COST * log2(max(size / FIRST_LEVEL_BYTES, 1))
        return float(zips + copies + misses + ORDER_COST * decisions.order)

    def features(self, workload: Workload, target: Target, decisions: Chunking) -> list[float]:
        shape = self.shape(workload)
        rows, groups = decisions.rows, decisions.groups
        return [
            float(rows),
            float(groups),
            float(VECTORS * rows * groups * shape.outputs),
            self._zips(workload, rows),
            self._zips(workload, decisions.chunk_rows),
            log2(decisions.chunk_rows),
            log2(self._staged_bytes(workload, decisions.chunk_rows)),
            *(float(decisions.order == order) for order in range(len(ORDERS))),
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

    def _is_small(self, workload: Workload) -> bool:
        """A kernel that is unrolled whole, with the rows and columns between its taps."""
        shape = self.shape(workload)
        products = VECTORS * shape.outputs * workload.kernel_size[0] * shape.quads
        return self._tile_rows(workload, 1) * shape.quads <= MOST_ZIPS and products <= MOST_UNROLLED

    def _zips_little(self, workload: Workload) -> bool:
        """Several quads a row that many outputs share are better made once and stored, as grouped kernels do it."""
        has_one_quad = self.shape(workload).quads == 1
        return has_one_quad or workload.stride[1] > 1 or workload.out_channels % self.dot.lanes != 0

    def _orders(self, workload: Workload, row_tiles: int) -> list[int]:
        """Those that differ: without several blocks, or several row tiles, some are the same."""
        if self.shape(workload).blocks == 1:
            return [0]
        return [0, 1] if row_tiles == 1 else [0, 1, 2]

    def _tiles(self, workload: Workload, shape: "DepthwiseShape") -> list[tuple[int, int]]:
        tiles = [
            (rows, groups)
            for rows in divisors(workload.out_height)
            if rows <= MOST_TILE_ROWS
            for groups in divisors(shape.groups)
            if self._fits(workload, shape, rows, groups)
        ]
        return tiles or [(1, 1)]

    def _fits(self, workload: Workload, shape: "DepthwiseShape", rows: int, groups: int) -> bool:
        sums = VECTORS * rows * groups * shape.outputs
        unrolled = sums * workload.kernel_size[0] * shape.quads
        return sums <= self.dot.registers - SPARE_REGISTERS and unrolled <= MOST_UNROLLED

    def _tile_rows(self, workload: Workload, rows: int) -> int:
        """Rows of pixels that so many rows of outputs read."""
        return (rows - 1) * workload.stride[0] + (workload.kernel_size[0] - 1) * workload.dilation[0] + 1

    def _staged_bytes(self, workload: Workload, chunk_rows: int) -> int:
        return self._tile_rows(workload, chunk_rows) * self.shape(workload).row_bytes

    def _zips(self, workload: Workload, rows: int) -> float:
        """Rows of quads that are zipped for one row of outputs."""
        return self._tile_rows(workload, rows) / rows


def chunks(workload: Workload, chunk_rows: int) -> int:
    """What threads can share: images times chunks of rows."""
    return workload.batch * workload.out_height // chunk_rows


@dataclass(frozen=True)
class DepthwiseShape:
    """Output column = slot * `stretch` + group * `outputs` + output."""

    slots: int
    """Pixels that share a vector of bytes."""
    channels: int
    """Of each slot."""
    blocks: int
    """Of `channels`; the last may be partly empty."""
    quads: int
    """Of one kernel row."""
    outputs: int
    """Neighbouring output columns that read the same quads."""
    groups: int
    """Of `outputs` columns in a stretch."""
    stretch: int
    """Output columns of a slot; the last stretch may stick out."""
    columns: int
    """Columns of pixels that are staged for each slot."""

    @classmethod
    def of(cls, workload: Workload, dot: Dot) -> "DepthwiseShape":
        stride, extent = workload.stride[1], (workload.kernel_size[1] - 1) * workload.dilation[1] + 1
        quads = ceil(extent / dot.products)
        outputs = min((quads * dot.products - extent) // stride + 1, workload.out_width)
        slots = min((1, 2, 4), key=lambda count: _cost(workload, dot, count, outputs))
        channels = dot.macs // slots
        groups = ceil(workload.out_width / (slots * outputs))
        stretch = groups * outputs
        blocks = ceil(workload.out_channels / channels)
        return cls(slots, channels, blocks, quads, outputs, groups, stretch, (stretch - 1) * stride + extent)

    @property
    def row_bytes(self) -> int:
        """Of a staged row."""
        return self.columns * self.blocks * self.slots * self.channels


def _cost(workload: Workload, dot: Dot, slots: int, outputs: int) -> float:
    """Relative work for a row of outputs when a vector holds `slots` pixels."""
    blocks = ceil(workload.out_channels / (dot.macs // slots))
    groups = ceil(workload.out_width / (slots * outputs))
    return blocks * groups * (1 + SLOT_COST * (slots - 1))
