"""Register tiles of outputs, cut out of rows, columns and channel blocks, and the loops around them."""

from dataclasses import dataclass
from math import prod

from tilewright_kernels.conv2d.divisors import divisors

ORDERS = (
    ("image", "blocks", "rows", "columns"),  # a block of weights stays in L1/L2 for the whole image
    ("image", "rows", "blocks", "columns"),  # rows of data stay in L1, weights stream
    ("image", "rows", "columns", "blocks"),  # a tile of data stays in L1, weights stream
)

SHARED = (1, 2, 3, 4)
"""How many outer loops are fused into the one that threads share."""

MOST_SQUARE_PIXELS = 8
"""Tiles of several rows share no more cache lines than one long row; up to here they are tried all the same."""

BROADCASTS = 1
"""Registers for data: each pixel is broadcast right before the products that it is for."""


@dataclass(frozen=True)
class TiledLoops:
    """The loops of a kernel whose output is cut into register tiles."""

    batch: int
    groups: int
    height: int
    width: int
    out_height: int
    out_width: int
    k_groups: int
    """Input channels of one group, by as many as a dot product sums in one lane."""
    channel_blocks: int
    """Output channels of one group, by as many as a vector has lanes."""
    lanes: int
    splits: int = 1
    """Sums that each output is split into, by the k_groups that they take in turn: two where the output has too few
    pixels for the registers to hold enough sums."""

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
        return rows * columns * blocks * self.splits + blocks + BROADCASTS <= registers

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
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Of the tiles that each loop is cut into."""
        return {"rows": (self.rows,), "columns": (self.columns,), "blocks": (self.blocks,)}

    @property
    def sums(self) -> int:
        return self.rows * self.columns * self.blocks


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
