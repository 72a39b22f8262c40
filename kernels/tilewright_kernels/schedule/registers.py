"""Register tiles: every sum of a tile is an accumulator of the instruction from its bias to its last product."""

from collections.abc import Sequence

from tvm.s_tir.schedule import LoopRV, Schedule

from tilewright_kernels.schedule.nest import Nest
from tilewright_kernels.schedule.tensorize import mark

LANE = "l"
"""Of a sum in its vector."""

PRODUCT = "i"
"""What one lane of a dot product sums by itself."""


def keep_in_registers(
    sch: Schedule, sums: Nest, reduction: Sequence[str], tile: Sequence[str], instruction: str
) -> None:
    """The register tile inside the reduction, and written out, so that its sums are registers."""
    sch.reorder(*sums.pick(*reduction, *tile, LANE, PRODUCT))
    start = sch.decompose_reduction(sums.block, sums[reduction[0]])
    unroll_vectors(sch, Nest.around(sch, start), tile)
    unroll(sch, sums.pick(*tile))
    mark(sch, sums[LANE], instruction)


def unroll_vectors(sch: Schedule, nest: Nest, tile: Sequence[str]) -> None:
    """Write out the loops of a tile, with its lanes as vectors."""
    unroll(sch, nest.pick(*tile))
    sch.vectorize(nest[LANE])


def unroll(sch: Schedule, loops: Sequence[LoopRV]) -> None:
    for loop in loops:
        sch.unroll(loop)
