"""From the sums of a register tile to results in memory."""

from collections.abc import Sequence

from tvm.s_tir.schedule import LoopRV, Schedule

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import narrowed_together
from tilewright_kernels.isa import intrinsics
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.schedule.registers import unroll
from tilewright_kernels.schedule.tensorize import mark


def narrow_tile(
    sch: Schedule, workload: Workload, dot: Dot, tile: Sequence[LoopRV], block: LoopRV, lane: LoopRV, packs: bool
) -> None:
    """Store the tile, `block` and `lane` inside it: if it `packs`, as many blocks at once as fill a vector of bytes."""
    together = narrowed_together(int(sch.get(block).extent))
    intrinsic = intrinsics.narrow_name(workload, dot, together) if packs else None
    if intrinsic is None:
        sch.vectorize(lane)
    else:
        block, packed = sch.split(block, [None, together])
        mark(sch, packed, intrinsic)
    unroll(sch, [*tile, block])
