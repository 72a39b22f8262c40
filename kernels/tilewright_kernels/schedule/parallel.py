"""Sharing loops among threads."""

from collections.abc import Sequence

from tvm.s_tir.schedule import LoopRV, SBlockRV, Schedule


def share(sch: Schedule, loops: Sequence[LoopRV]) -> None:
    """Fuse neighbouring loops, and let each thread take an even part of them."""
    sch.parallel(sch.fuse(*loops))


def share_block(sch: Schedule, block: SBlockRV) -> None:
    """Share all loops of a block that stands alone: its copies of data go in whatever order."""
    share(sch, sch.get_loops(block))


def share_outer(sch: Schedule, outer: Sequence[LoopRV], counts: Sequence[int], count: int | None) -> None:
    """Share the first `count` of the loops `outer`, or as many of `counts` as MetaSchedule draws."""
    even = [1 / len(counts)] * len(counts)
    decision = None if count is None else counts.index(count)
    drawn = sch.sample_categorical(list(counts), even, decision=decision)
    share(sch, outer[: int(sch.get(drawn))])
