"""Cutting loops into tiles: by the sizes that were chosen, or by sizes that MetaSchedule draws."""

from collections.abc import Sequence
from itertools import pairwise
from math import gcd

from tvm.s_tir.schedule import LoopRV, Schedule

MOST_SAMPLED = 32
"""Of an innermost tile that MetaSchedule draws: no register file holds more sums."""


def split_tiles(sch: Schedule, loop: LoopRV, levels: int, sizes: Sequence[int] | None) -> list[LoopRV]:
    """Cut a loop into tiles of `sizes`, largest first, one inside the other: gives one loop more than `levels`."""
    factors = sch.sample_perfect_tile(
        loop, n=levels + 1, max_innermost_factor=MOST_SAMPLED, decision=_factors(sch, loop, sizes)
    )
    return list(sch.split(loop, factors))


def _factors(sch: Schedule, loop: LoopRV, sizes: Sequence[int] | None) -> list[int] | None:
    if sizes is None:
        return None
    extents = [int(sch.get(loop).extent), *sizes, 1]
    return [outer // inner for outer, inner in pairwise(extents)]


def split_tail(sch: Schedule, lane: LoopRV, channels: int, lanes: int) -> LoopRV:
    """Cut the lanes of a block that may be partly empty; gives the loop over one vector.

    A vector is as many channels as divide both a block and the tail, so that none is half valid. The loop over
    vectors is unrolled: LLVM would make masked stores of it, and LLVM 22 stores four bytes where the mask of a
    narrowed vector has one lane.
    """
    vectors, vector = sch.split(lane, [None, gcd(channels, lanes)])
    sch.unroll(vectors)
    return vector
