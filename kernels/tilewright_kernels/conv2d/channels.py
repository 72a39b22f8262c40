"""How channels fill groups and vectors: what the kinds ask of a workload before anything is scheduled."""

from math import gcd

from tilewright.contract.workload import Workload
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.traits import traits_of

VECTORS = 4
"""Vectors of int32 sums that are packed into one vector of bytes."""

CACHE_LINE = 64
"""Bytes."""

ITEM_BYTES = {"uint8": 1, "int8": 1, "int16": 2, "int32": 4, "float32": 4}


def group_in(workload: Workload) -> int:
    """Input channels of one group."""
    return workload.in_channels // workload.groups


def group_out(workload: Workload) -> int:
    """Output channels of one group."""
    return workload.out_channels // workload.groups


def fills_blocks(channels: int, lanes: int) -> bool:
    """Whether output channels fill whole vectors, so that results are stored straight from the registers."""
    return channels % lanes == 0


def stores_blocks(workload: Workload, dot: Dot) -> bool:
    """Whether results are stored as whole vectors: in NCHW always, as the buffer before it has room for them."""
    return traits_of(workload).is_transposed or fills_blocks(group_out(workload), dot.lanes)


def narrowed_together(blocks: int) -> int:
    """How many of the channel blocks of a tile are packed into one vector of bytes."""
    return gcd(blocks, VECTORS)
