"""Which blocks become one instruction: marked in the trace, replaced only when code is generated.

A trace that tensorizes can be read only where the intrinsic is registered. A marked one can be read by any TVM, so
that the database of a job opens without this project; the mark is MetaSchedule's own annotation for the purpose.
"""

from tvm.s_tir.schedule import LoopRV, SBlockRV, Schedule

from tilewright_kernels.isa.intrinsics import require

MARK = "meta_schedule.auto_tensorize"


def mark(sch: Schedule, loop: LoopRV, intrinsic: str) -> SBlockRV:
    """The block below `loop`, with the loop, is one call of `intrinsic`; gives the block that it became."""
    block = sch.blockize(loop)
    sch.annotate(block, MARK, intrinsic)
    return block


def apply_marks(sch: Schedule) -> None:
    """Put the intrinsics in place. Raises a ScheduleError when a block is not what its intrinsic computes."""
    _apply_below(sch, sch.get_sblock("root"))


def _apply_below(sch: Schedule, parent: SBlockRV) -> None:
    for block in sch.get_child_blocks(parent):
        annotations = sch.get(block).annotations
        if MARK in annotations:
            intrinsic = str(annotations[MARK])
            sch.unannotate(block, MARK)
            require(intrinsic)
            sch.tensorize(block, intrinsic)
        else:
            _apply_below(sch, block)
