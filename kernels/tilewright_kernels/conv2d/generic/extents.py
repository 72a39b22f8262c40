"""What a replayed trace would have written out; its text cannot tell, as loops get extents when they are split."""

from math import prod

from tvm.s_tir import Schedule
from tvm.tirx import ForKind

from tilewright.errors import ForeignSchedule

WRITTEN_OUT = (ForKind.UNROLLED, ForKind.VECTORIZED)
MOST_WRITTEN_OUT = 2**16
"""Steps of one block in a row: MetaSchedule's own traces have some hundred, and more takes memory for hours."""


def check_extents(sch: Schedule) -> None:
    """Raises ForeignSchedule for loops whose every step would become code of its own, and too many of them."""
    seen = Schedule(sch.mod)  # what is asked of a schedule becomes a part of its trace
    for block in seen.get_child_blocks(seen.get_sblock("root")):
        loops = map(seen.get, seen.get_loops(block))
        steps = prod(int(loop.extent) for loop in loops if loop.kind in WRITTEN_OUT)
        if steps > MOST_WRITTEN_OUT:
            raise ForeignSchedule(f"a trace that writes out {steps} steps of a block, above {MOST_WRITTEN_OUT}")
