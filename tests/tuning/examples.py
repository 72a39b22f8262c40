"""Small workloads, and candidates that do what their names say."""

import ctypes
from typing import Any

from tvm.s_tir import Schedule

from tilewright.contract.candidates import Candidate, GenericTrace
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.spaces import space_of
from tilewright_kernels.isa.paths import host_isas
from tilewright_kernels.runtime.build import default_candidate, definition, trace_of

DENSE = Workload(batch=1, in_channels=16, height=16, width=16, out_channels=32, kernel_size=(3, 3))
GROUPED = Workload(batch=1, in_channels=8, height=6, width=6, out_channels=8, kernel_size=(3, 3), groups=2)
TARGET = Target(isa=host_isas()[0])


class ReadsAddressZero(GenericTrace):
    """Ends the process that takes it in, as a bug of TVM or LLVM would."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ctypes.string_at, (0,)


SEGFAULTS = ReadsAddressZero(trace=[[], []])


def good_candidate(workload: Workload = DENSE, target: Target = TARGET) -> Candidate:
    return default_candidate(workload, space_of(workload, target.isa), target)


def tiled(width: int, workload: Workload = DENSE) -> Candidate:
    """A good candidate of the generic space, one for each width of its vectors."""
    sch = Schedule(definition("generic", workload))
    *_, channel = sch.get_loops(sch.get_sblock("requantise"))
    _, vector = sch.split(channel, [None, width])
    sch.vectorize(vector)
    return GenericTrace(trace=trace_of(sch))


def does_not_apply() -> Candidate:
    """Its trace asks for a block that the workload's definition has not."""
    return GenericTrace(trace=[[["GetSBlock", [], ["no_such_block", "main"], ["b0"]]], []])


def builds_for_ages(workload: Workload = DENSE) -> Candidate:
    """All loops unrolled but images and rows: 64,512 statements, just what a trace may write out."""
    sch = Schedule(definition("generic", workload))
    for loop in sch.get_loops(sch.get_sblock("conv"))[2:]:
        sch.unroll(loop)
    return GenericTrace(trace=trace_of(sch))
