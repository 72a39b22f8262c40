# mypy: disable-error-code="no-any-unimported"
"""MetaSchedule's own space over the plain definition: slower kernels, but none is ever unsupported."""

from typing import Any

import numpy as np

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.divisors import divisors
from tilewright_kernels.conv2d.generic.definition import plain
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import fold_zero_point
from tilewright_kernels.conv2d.space import Space

MOST_LANES = 16


class GenericSpace(Space):
    """Everything: any groups, any ISA path."""

    name = "generic"

    def covers(self, workload: Workload, isa: Isa) -> bool:
        return True

    def define(self, workload: Workload) -> Any:
        return plain(workload)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        """weight as (kernel height, kernel width, in_channels / groups, out_channels)."""
        return [
            np.ascontiguousarray(values.weight.transpose(2, 3, 1, 0)),
            fold_zero_point(values, values.data_zero_point),
            values.scale.astype(np.float32),
            np.array([values.data_zero_point], np.int32),
        ]

    def schedule_default(self, sch: Any, workload: Workload, target: Target) -> None:
        """What is served before anything was tuned: channels in vectors, a row of them at a time."""
        conv, requantise = sch.get_sblock("conv"), sch.get_sblock("requantise")
        image, row, _, channel = sch.get_loops(requantise)
        vectors = [size for size in divisors(workload.out_channels) if size <= MOST_LANES]
        channel, vector = sch.split(channel, [None, vectors[-1]])
        sch.vectorize(vector)
        if target.threads > 1:
            sch.parallel(sch.fuse(image, row))
        sch.compute_at(conv, channel, preserve_unit_loops=True)
        *_, lane, kernel_row, kernel_column, group_channel = sch.get_loops(conv)
        sch.reorder(kernel_row, kernel_column, group_channel, lane)
        sch.decompose_reduction(conv, kernel_row)
