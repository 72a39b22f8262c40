"""Convolutions of few input channels: which there are, and how a row of the input lies in the staged buffer."""

from dataclasses import dataclass
from math import ceil, gcd

from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import CACHE_LINE
from tilewright_kernels.conv2d.tiled_choices import TiledChoices
from tilewright_kernels.conv2d.tiling import TiledLoops
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.traits import traits_of

FEW_CHANNELS = 16
"""From here on the one k_group of a pixel that its channels do not fill is a small part of all."""


class FewChannelsChoices(TiledChoices):
    """groups = 1, input channels that are few and do not fill k_groups; any stride, padding and batch."""

    kind = "few_channels"

    def covers(self, workload: Workload, isa: Isa) -> bool:
        channels = workload.in_channels
        unfilled = channels < FEW_CHANNELS and channels % self.dot.products != 0
        is_simple = workload.groups == 1 and workload.dilation[1] == 1
        return isa is self.isa and is_simple and unfilled and self._saves_products(workload)

    def loops(self, workload: Workload) -> TiledLoops:
        batch, out_height, out_width, out_channels = workload.in_nhwc.output_shape
        blocks, k_groups = ceil(out_channels / self.dot.lanes), RowShape.of(workload, self.dot).k_groups
        return TiledLoops(
            batch, 1, workload.height, workload.width, out_height, out_width, k_groups, blocks, self.dot.lanes
        )

    def needs_stage(self, workload: Workload) -> bool:
        return True

    def _saves_products(self, workload: Workload) -> bool:
        """Whether runs of taps take no more dot products than k_groups of channels; in NHWC they never take more."""
        taps, channels = workload.kernel_size[1], workload.in_channels
        row = RowShape.of(workload, self.dot)
        return row.planes * row.k_groups <= taps * ceil(channels / self.dot.products)


@dataclass(frozen=True)
class RowShape:
    """How a row of the input, in NCHW of one of its planes, lies in the staged buffer, in elements."""

    planes: int
    channels: int
    """Elements of one pixel in a row."""
    k_groups: int
    """Of one kernel row: its bytes, by as many as a dot product sums in one lane."""
    vector: int
    """The largest power of two that divides a row of data, at most a cache line: what a copy moves at once."""
    first: int
    """Where the data begins: the left border rounded up, so that every copy is whole vectors."""
    window: int
    """Where the window of the first output column begins."""
    length: int

    @classmethod
    def of(cls, workload: Workload, dot: Dot) -> "RowShape":
        planes, channels = (workload.in_channels, 1) if traits_of(workload).is_transposed else (1, workload.in_channels)
        data = channels * workload.width
        k_groups = -(-workload.kernel_size[1] * channels // dot.products)
        vector = gcd(data, CACHE_LINE)
        border = workload.padding[1] * channels
        first = -(-border // vector) * vector
        window = first - border
        last_read = window + (workload.out_width - 1) * workload.stride[1] * channels + k_groups * dot.products
        length = -(-max(first + data, last_read) // vector) * vector
        return cls(planes, channels, k_groups, vector, first, window, length)
