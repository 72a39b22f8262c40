"""Register tiles of outputs, cut out of rows, columns and channel blocks: the choices of dense kernels and of those of
few channels, and what each is expected to cost.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd, log2, prod
from typing import ClassVar

from tilewright.contract.candidates import Choice
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import ITEM_BYTES
from tilewright_kernels.conv2d.choices import ChoiceSpace
from tilewright_kernels.conv2d.divisors import divisors
from tilewright_kernels.isa.paths import PATHS

ORDERS = (
    ("image", "blocks", "rows", "columns"),  # a block of weights stays in L1/L2 for the whole image
    ("image", "rows", "blocks", "columns"),  # rows of data stay in L1, weights stream
    ("image", "rows", "columns", "blocks"),  # a tile of data stays in L1, weights stream
)

SHARED = (1, 2, 3, 4)
"""How many outer loops are fused into the one that threads share."""

MOST_SQUARE_PIXELS = 8
"""Tiles of several rows share no more cache lines than one long row; up to here they are tried all the same."""

ENOUGH_SUMS = 8
"""Fewer cannot hide the 4-5 cycles of a dot product issued twice a cycle."""

LATENCY_CYCLES = 4.5
"""From one dot product to the next on the same sum."""

NARROWING_CYCLES = {1: 2.2, 2: 1.6, 4: 1.4}
"""To requantise one vector of sums, by how many are packed together."""

SEVERAL_ROWS_COST = 1.02
"""A tile of several rows reads from as many places at once, and is expected to cost so many times as much."""

ORDER_COST = 0.02
"""Of each order that lies between the expected one and the one that is taken."""

LONG_REDUCTION = 128
"""In dot products: above it a block of weights is expected to be worth keeping for the whole image."""

FIRST_LEVEL_BYTES = 32 * 1024
SECOND_LEVEL_BYTES_A_CYCLE = 32
"""Weights of a tile that do not fit the first-level cache come from the second for every tile again."""

CACHE_LINE = 64
FEW_LINES = 4
"""Where a pixel has fewer lines for each thread, those that two threads write to decide the time."""


@dataclass(frozen=True)
class TiledLoops:
    """The loops of a kernel whose output is cut into register tiles."""

    batch: int
    groups: int
    height: int
    width: int
    out_height: int
    out_width: int
    channel_quads: int
    """Of one group, as are the blocks."""
    channel_blocks: int
    lanes: int
    parts: int = 1
    """Sums that each output is made of, by the quads that they take in turn: two where the output has too few pixels
    for the registers to hold enough sums."""

    def tiles(self, registers: int) -> list[tuple[int, int, int]]:
        """(rows, columns, blocks) of which every sum, the weights of each block and one broadcast fit the registers."""
        return [
            (rows, columns, blocks)
            for columns in divisors(self.out_width)
            for rows in divisors(self.out_height)
            if rows == 1 or rows * columns <= MOST_SQUARE_PIXELS or columns == self.out_width
            for blocks in divisors(self.channel_blocks)
            if self.fits(rows, columns, blocks, registers)
        ]

    def fits(self, rows: int, columns: int, blocks: int, registers: int) -> bool:
        return rows * columns * blocks * self.parts + blocks + 1 <= registers

    def outer_extents(self, rows: int, columns: int, blocks: int) -> dict[str, int]:
        """How often each outer loop runs when the output is cut into tiles of this size."""
        return {
            "image": self.batch * self.groups,
            "rows": self.out_height // rows,
            "columns": self.out_width // columns,
            "blocks": self.channel_blocks // blocks,
        }


@dataclass(frozen=True)
class Tiling:
    """A register tile, and how the loops around it are ordered and shared."""

    rows: int
    columns: int
    blocks: int
    order: int
    """Which of ORDERS."""
    shared: int
    """How many outer loops are fused for the threads; 0 on one thread."""

    @property
    def sums(self) -> int:
        return self.rows * self.columns * self.blocks


class TiledChoices(ChoiceSpace[Tiling]):
    """Register tiles of the output; a kind says what its loops are."""

    version: ClassVar[int] = 2
    """Since version 2 `shared` is a decision; before, the fewest loops that feed every thread were shared."""
    decisions = Tiling

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.dot = PATHS[isa].dot

    @abstractmethod
    def loops(self, workload: Workload) -> TiledLoops:
        """What is tiled."""

    @abstractmethod
    def needs_stage(self, workload: Workload) -> bool:
        """Whether the input is copied before the instruction reads it."""

    def candidates(self, workload: Workload, target: Target) -> list[Tiling]:
        loops = self.loops(workload)
        found = [
            Tiling(rows, columns, blocks, order, shared)
            for rows, columns, blocks in self._tiles(loops)
            for extents in [loops.outer_extents(rows, columns, blocks)]
            for order in distinct_orders(extents)
            for shared in shared_loops(extents, order, target.threads)
        ]
        apart = [tiling for tiling in found if not self._shares_lines(workload, tiling, target.threads)]
        return sorted(apart or found, key=lambda tiling: self.expected_cost(workload, tiling))

    def fits(self, workload: Workload, target: Target, decisions: Tiling) -> bool:
        loops = self.loops(workload)
        cut = (
            (loops.out_height, decisions.rows),
            (loops.out_width, decisions.columns),
            (loops.channel_blocks, decisions.blocks),
        )
        return (
            all(size > 0 and extent % size == 0 for extent, size in cut)
            and loops.fits(decisions.rows, decisions.columns, decisions.blocks, self.dot.registers)
            and decisions.order < len(ORDERS)
            and decisions.shared in (SHARED if target.threads > 1 else (0,))
        )

    def added(self, choice: Choice, workload: Workload, target: Target) -> Mapping[str, int]:
        given = choice.decisions
        sizes = [given.get(name, 0) for name in ("rows", "columns", "blocks")]
        if choice.version > 1 or not all(sizes) or given.get("order", len(ORDERS)) >= len(ORDERS):
            return {}
        extents = self.loops(workload).outer_extents(*sizes)
        return {"shared": shared_loops(extents, given["order"], target.threads)[0]}

    def expected_cost(self, workload: Workload, decisions: Tiling) -> float:
        """Cycles a dot product in a simple model: loads and dot products compete for two ports each."""
        rows, columns, blocks = decisions.rows, decisions.columns, decisions.blocks
        loads = rows * columns + blocks
        products = workload.reduction / self.dot.products
        latency = LATENCY_CYCLES / self.loops(workload).parts
        busiest = max(decisions.sums / 2, loads / 2, latency, self._weight_cycles(blocks, products))
        cost = busiest / decisions.sums + NARROWING_CYCLES[gcd(blocks, 4)] / products
        if rows > 1:
            cost *= SEVERAL_ROWS_COST
        expected_order = 0 if products > LONG_REDUCTION else 1
        return float(cost * (1 + ORDER_COST * abs(decisions.order - expected_order)))

    def features(self, workload: Workload, target: Target, decisions: Tiling) -> list[float]:
        loops = self.loops(workload)
        rows, columns, blocks, sums = decisions.rows, decisions.columns, decisions.blocks, decisions.sums
        weight_tile = blocks * self.dot.lanes * workload.reduction
        data_row = workload.width * workload.in_channels * workload.kernel_size[0]
        return [
            float(rows),
            float(columns),
            float(blocks),
            float(sums * loops.parts),
            (rows * columns + blocks) / sums,
            float(rows * columns),
            float(gcd(blocks, 4)),
            *(float(decisions.order == order) for order in range(len(ORDERS))),
            float(decisions.shared),
            log2(weight_tile),
            log2(weight_tile * loops.channel_blocks / blocks),
            log2(data_row),
            log2(loops.out_width / columns),
            log2(loops.out_height / rows),
            log2(loops.channel_blocks / blocks),
            log2(loops.channel_quads),
            log2(prod(workload.kernel_size)),
            float(workload.stride[1]),
            float(self.needs_stage(workload)),
            log2(workload.batch),
            float(target.threads),
            *(float(workload.layout == layout) for layout in ("NCHW", "NCHW16c")),
            self.expected_cost(workload, decisions),
        ]

    def _tiles(self, loops: TiledLoops) -> list[tuple[int, int, int]]:
        """Register tiles with sums enough, as far as there are any."""
        tiles = loops.tiles(self.dot.registers)
        enough = min(max(map(prod, tiles)) * loops.parts, ENOUGH_SUMS)
        return [tile for tile in tiles if prod(tile) * loops.parts >= enough]

    def _shares_lines(self, workload: Workload, tiling: Tiling, threads: int) -> bool:
        """Whether threads cut up the channels of a pixel inside cache lines, which then wander between their cores.

        The caller's memory starts anywhere, so a cut may be inside a line wherever it is.
        """
        extents = self.loops(workload).outer_extents(tiling.rows, tiling.columns, tiling.blocks)
        names = ORDERS[tiling.order][: tiling.shared]
        if workload.layout != "NHWC" or "blocks" not in names or extents["blocks"] == 1:
            return False
        pieces = prod(extents[name] for name in names[: names.index("blocks")])
        bytes_of_thread = workload.out_channels * ITEM_BYTES[workload.out_dtype] / threads
        return pieces < threads and bytes_of_thread < FEW_LINES * CACHE_LINE

    def _weight_cycles(self, blocks: int, products: float) -> float:
        """To fetch one vector of weights a block, where the tile's weights leave the first-level cache."""
        vector_bytes = self.dot.macs * ITEM_BYTES[self.dot.weight_dtype]
        fits = blocks * products * vector_bytes <= FIRST_LEVEL_BYTES
        return 0.0 if fits else blocks * vector_bytes / SECOND_LEVEL_BYTES_A_CYCLE


def distinct_orders(extents: dict[str, int]) -> list[int]:
    """The orders that differ: loops of extent 1 do not count."""
    distinct: dict[tuple[str, ...], int] = {}
    for index, order in enumerate(ORDERS):
        distinct.setdefault(tuple(name for name in order if extents[name] > 1), index)
    return list(distinct.values())


def shared_loops(extents: dict[str, int], order: int, threads: int) -> list[int]:
    """How many of the outer loops may be fused and shared: the fewest that feed every thread, or one more."""
    if threads == 1:
        return [0]
    products = [prod(extents[name] for name in ORDERS[order][:count]) for count in SHARED]
    # A loop that runs once adds nothing to those outside it.
    enough = [
        count
        for count, before, product in zip(SHARED, (0, *products), products, strict=False)
        if product >= threads and product > before
    ]
    return enough[:2] or [SHARED[-1]]
