"""Grouped kernels: how their k_groups are staged, a chunk at a time, and the register tile inside a chunk."""

from dataclasses import dataclass
from math import ceil

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import fills_blocks, group_in, group_out
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.traits import traits_of

MOST_CHUNK_BYTES = 500_000
"""Staged at a time, about half of a second-level cache: more begins to leave it before it is used."""


@dataclass(frozen=True)
class LaneShape:
    """How outputs read k_groups along a row: output column = group * `outputs` + output of the group."""

    k_groups: int
    """Of one kernel column, or, where a k_group holds taps, of one kernel row."""
    outputs: int
    """Neighbouring output columns that read the same k_groups."""
    groups: int
    """Groups of columns in an output row; the last may stick out."""
    kernel_columns: int
    """Columns of k_groups that an output reads, `dilation` apart; 1 where a k_group holds the taps of a row."""
    dilation: int
    step: int
    """Columns of k_groups from one group to the next."""
    columns: int
    """Columns of k_groups that are staged."""
    pixel_step: int
    """Pixels from one column of k_groups to the next."""
    blocks: int
    """Blocks of output channels, one channel a lane."""

    @classmethod
    def of(cls, workload: Workload, dot: Dot) -> "LaneShape":
        blocks = ceil(workload.out_channels / dot.lanes)
        if workload.in_channels == workload.groups:
            return cls._of_taps(workload, blocks, dot.products)
        kernel_columns, dilation, step = workload.kernel_size[1], workload.dilation[1], workload.stride[1]
        columns = (workload.out_width - 1) * step + (kernel_columns - 1) * dilation + 1
        k_groups = ceil(group_in(workload) / dot.products)
        return cls(k_groups, 1, workload.out_width, kernel_columns, dilation, step, columns, 1, blocks)

    @classmethod
    def _of_taps(cls, workload: Workload, blocks: int, products: int) -> "LaneShape":
        stride = workload.stride[1]
        extent = (workload.kernel_size[1] - 1) * workload.dilation[1] + 1
        k_groups = ceil(extent / products)
        outputs = min((k_groups * products - extent) // stride + 1, workload.out_width)
        groups = ceil(workload.out_width / outputs)
        return cls(k_groups, outputs, groups, 1, 1, 1, groups, outputs * stride, blocks)

    def staged_bytes(self, workload: Workload, dot: Dot, blocks: int, out_rows: int) -> int:
        """Of the k_groups that so many rows of outputs read, for so many blocks of channels."""
        extent = (workload.kernel_size[0] - 1) * workload.dilation[0] + 1
        rows = (out_rows - 1) * workload.stride[0] + extent
        return rows * self.columns * self.k_groups * blocks * dot.macs


@dataclass(frozen=True)
class ChunkedTile:
    """A chunk of rows and channel blocks whose k_groups are staged, and the register tile inside it."""

    chunk: int
    """Channel blocks that are staged together."""
    chunk_rows: int
    rows: int
    groups: int
    """Of columns, in a tile."""
    blocks: int
    """Of channels, in a tile."""

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Of the tiles that each loop is cut into, largest first."""
        return {"blocks": (self.chunk, self.blocks), "rows": (self.chunk_rows, self.rows), "groups": (self.groups,)}


def loads_vectors(workload: Workload, dot: Dot) -> bool:
    """Whether k_groups can be made of whole vectors: no lane without a channel, and pixels that split evenly."""
    inputs, outputs = group_in(workload), group_out(workload)
    if workload.out_channels % dot.lanes or not dot.multiplies_bytes:
        return False
    if inputs == 1:
        return outputs == 1
    if dot.vectors.permute is None:
        return False
    size = dot.lanes // outputs * inputs
    is_whole = dot.lanes % outputs == 0 and inputs % dot.products == 0
    return is_whole and size <= dot.macs and size & (size - 1) == 0


def stores_vectors(workload: Workload, dot: Dot) -> bool:
    """Whether results are stored as whole vectors: in NCHW always, as the buffer before it has room for them."""
    return traits_of(workload).is_transposed or fills_blocks(workload.out_channels, dot.lanes)
