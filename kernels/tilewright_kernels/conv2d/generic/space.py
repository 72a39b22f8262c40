"""MetaSchedule's own space over the plain definition: slower kernels, but none is ever unsupported."""

from tvm.s_tir.schedule import Schedule
from tvm.tirx import PrimFunc

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.divisors import divisors
from tilewright_kernels.conv2d.generic.definition import plain
from tilewright_kernels.conv2d.generic.packing import pack_constants
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.space import Space
from tilewright_kernels.schedule.nest import attach, find_nest
from tilewright_kernels.schedule.parallel import share

MOST_LANES = 16
"""Of a vector of sums: what the widest registers hold."""


class GenericSpace(Space):
    """Everything: any groups, any ISA path."""

    name = "generic"

    def covers(self, workload: Workload, isa: Isa) -> bool:
        return True

    def define(self, workload: Workload) -> PrimFunc:
        return plain(workload)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        return pack_constants(values)

    def schedule_default(self, sch: Schedule, workload: Workload, target: Target) -> None:
        """What is served before anything was tuned: channels in vectors, a row of them at a time."""
        nest = find_nest(sch, "requantise")
        vectors = [size for size in divisors(workload.out_channels) if size <= MOST_LANES]
        channel, vector = sch.split(nest["o"], [None, vectors[-1]])
        sch.vectorize(vector)
        if target.threads > 1:
            share(sch, nest.pick("n", "h"))
        sums = attach(sch, "conv", channel)
        sch.reorder(*sums.pick("kh", "kw", "c", "o"))
        sch.decompose_reduction(sums.block, sums["kh"])
