"""Depthwise kernels: how pixels share vectors of bytes, the rows that are staged, and the register tile inside them."""

from dataclasses import dataclass
from math import ceil

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import VECTORS
from tilewright_kernels.isa.dots import Dot

ORDERS = (
    ("rows", "groups", "block"),  # all channels of a pixel together, as they lie in memory
    ("rows", "block", "groups"),  # the weights of a block stay in registers or L1 along a row
    ("block", "rows", "groups"),  # one block of channels for all rows of the chunk
)

STRETCH_COST = 0.2
"""What one more stretch costs in staging, next to computing with a vector."""


@dataclass(frozen=True)
class Chunking:
    """A chunk of rows that is staged, the register tile inside it, and how the loops between are ordered."""

    chunk_rows: int
    rows: int
    groups: int
    """Of columns, in a tile."""
    order: int
    """Which of ORDERS."""

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Of the tiles that each loop is cut into, largest first."""
        return {"rows": (self.chunk_rows, self.rows), "groups": (self.groups,)}


@dataclass(frozen=True)
class DepthwiseShape:
    """A row of outputs is cut into stretches, computed side by side: its column = stretch * `stretch_columns` + group *
    `outputs` + output.
    """

    stretches: int
    """Of a row; a vector of bytes holds a pixel of each."""
    channels: int
    """Of each pixel in a vector."""
    blocks: int
    """Of `channels`; the last may be partly empty."""
    k_groups: int
    """Of one kernel row: its taps, by as many as a dot product sums in one lane."""
    outputs: int
    """Neighbouring output columns that read the same k_groups."""
    groups: int
    """Of `outputs` columns in a stretch."""
    stretch_columns: int
    """Output columns of a stretch; the last stretch may stick out."""
    columns: int
    """Columns of pixels that are staged for each stretch."""

    @classmethod
    def of(cls, workload: Workload, dot: Dot) -> "DepthwiseShape":
        stride, extent = workload.stride[1], (workload.kernel_size[1] - 1) * workload.dilation[1] + 1
        k_groups = ceil(extent / dot.products)
        outputs = min((k_groups * dot.products - extent) // stride + 1, workload.out_width)
        stretches = min((1, 2, 4), key=lambda count: _row_cost(workload, dot, count, outputs))
        channels = dot.macs // stretches
        blocks = ceil(workload.out_channels / channels)
        groups = ceil(workload.out_width / (stretches * outputs))
        columns = groups * outputs
        staged = (columns - 1) * stride + extent
        return cls(stretches, channels, blocks, k_groups, outputs, groups, columns, staged)

    @property
    def row_bytes(self) -> int:
        """Of a staged row."""
        return self.columns * self.blocks * self.stretches * self.channels

    def sums(self, rows: int, groups: int) -> int:
        """Vectors of sums of a tile."""
        return VECTORS * rows * groups * self.outputs


def _row_cost(workload: Workload, dot: Dot, stretches: int, outputs: int) -> float:
    """Relative work for a row of outputs when a vector holds a pixel of each of so many stretches."""
    blocks = ceil(workload.out_channels / (dot.macs // stretches))
    groups = ceil(workload.out_width / (stretches * outputs))
    return blocks * groups * (1 + STRETCH_COST * (stretches - 1))


def tile_rows(workload: Workload, rows: int) -> int:
    """Rows of pixels that so many rows of outputs read."""
    return (rows - 1) * workload.stride[0] + (workload.kernel_size[0] - 1) * workload.dilation[0] + 1
