"""Which workloads are alike, so that a good schedule of one is likely good for the other."""

from dataclasses import dataclass
from math import log2

from tilewright.contract.workload import Workload

UNLIKE = 2.0
"""How far apart two workloads are that differ in a type or the layout: as far as two doublings of a size."""


@dataclass(frozen=True)
class Position:
    """Where a workload lies among all."""

    sizes: tuple[float, ...]
    """In octaves."""
    kinds: tuple[object, ...]


def position_of(workload: Workload) -> Position:
    sizes = (
        workload.batch,
        workload.in_channels // workload.groups,
        workload.out_channels,
        workload.groups,
        workload.out_height,
        workload.out_width,
        # A kernel of another size changes more than other channels do: what is padded, and what is read again.
        *(extent**2 for extent in workload.kernel_size),
        *workload.stride,
        *workload.dilation,
    )
    kinds = (workload.data_dtype, workload.out_dtype, workload.layout, workload.residual)
    return Position(tuple(map(log2, sizes)), kinds)


def distance(one: Position, other: Position) -> float:
    """0 for equal positions, and 1 for each size that doubles."""
    octaves = sum(abs(here - there) for here, there in zip(one.sizes, other.sizes, strict=True))
    return octaves + UNLIKE * sum(here != there for here, there in zip(one.kinds, other.kinds, strict=True))
