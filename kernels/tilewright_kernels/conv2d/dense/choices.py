"""Dense convolutions: which there are, what their loops are, and which of them need no copy of the input."""

from dataclasses import replace
from functools import lru_cache
from math import ceil, prod

from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import group_in, group_out
from tilewright_kernels.conv2d.divisors import divisors
from tilewright_kernels.conv2d.tiled_choices import ENOUGH_SUMS, TiledChoices
from tilewright_kernels.conv2d.tiling import TiledLoops
from tilewright_kernels.isa.dots import SEGMENT_BYTES, Dot
from tilewright_kernels.layouts.traits import traits_of

MOST_ROW_PIXELS = 128
"""Of a 1x1 convolution in NCHW: a row comes in, is used and goes out while it is in the nearest cache."""

LEAST_FILLED = 0.5
"""Of the lanes of a vector, by a group's output channels: with fewer, lanes that have data of their own are faster."""

FEW_REGISTERS = 16
"""Of a path whose tiles may be too small for ENOUGH_SUMS."""

SPLITS = 2
"""Sums of an output where tiles are too small: seven columns make 14 sums then, which a small register file holds."""


class DenseChoices(TiledChoices):
    """Groups of many channels, or one; any stride, padding, dilation and batch."""

    kind = "dense"

    def covers(self, workload: Workload, isa: Isa) -> bool:
        return isa is self.isa and (workload.groups == 1 or group_out(workload) >= self.dot.lanes * LEAST_FILLED)

    def loops(self, workload: Workload) -> TiledLoops:
        return loops_of(workload, self.dot)

    def needs_stage(self, workload: Workload) -> bool:
        return not reads_data_directly(workload, self.dot)


@lru_cache(maxsize=1024)
def loops_of(workload: Workload, dot: Dot) -> TiledLoops:
    """A 1x1 convolution without stride or padding is one long row of pixels."""
    groups = workload.groups
    k_groups, blocks = ceil(group_in(workload) / dot.products), ceil(group_out(workload) / dot.lanes)
    batch, height, width = workload.batch, workload.height, workload.width
    out_height, out_width = workload.out_height, workload.out_width
    if is_pointwise(workload):
        batch, height, width = pixel_rows(workload)
        out_height, out_width = height, width
    whole = TiledLoops(batch, groups, height, width, out_height, out_width, k_groups, blocks, dot.lanes)
    may_split = dot.accumulates and dot.registers == FEW_REGISTERS and k_groups % SPLITS == 0
    is_short = may_split and max(map(prod, whole.tiles(dot.registers))) < ENOUGH_SUMS
    return replace(whole, splits=SPLITS) if is_short else whole


def is_pointwise(workload: Workload) -> bool:
    """Whether every output pixel reads exactly the input pixel at its own place."""
    return workload.kernel_size == (1, 1) and workload.stride == (1, 1) and not any(workload.padding)


def pixel_rows(workload: Workload) -> tuple[int, int, int]:
    """A pointwise convolution as (batch, rows, pixels of a row)."""
    pixels = workload.height * workload.width
    if traits_of(workload).images_touch:
        return 1, 1, workload.batch * pixels
    if not traits_of(workload).is_transposed:
        return workload.batch, 1, pixels
    row = max(size for size in divisors(pixels) if size <= MOST_ROW_PIXELS)
    row = row if row >= SEGMENT_BYTES else pixels
    return workload.batch, pixels // row, row


def reads_data_directly(workload: Workload, dot: Dot) -> bool:
    """Whether the instruction can read the caller's array: nothing to pad, to widen or to shift."""
    is_plain = not any(workload.padding) and group_in(workload) % dot.products == 0
    return is_plain and workload.data_dtype == dot.data_dtype and not traits_of(workload).is_transposed
