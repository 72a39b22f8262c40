"""How NCHW planes lie in the NHWC buffers that stand before and behind a kernel."""

from math import ceil

import numpy as np

from tilewright.contract.workload import CHANNEL_BLOCK
from tilewright_kernels.isa.dots import SEGMENT_BYTES
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.tir import Expr, Index, part


def power_of_two(number: int) -> int:
    """The largest that is not above `number`."""
    return 1 << number.bit_length() - 1


class Planes(Activations):
    """NCHW, by the position in an NHWC buffer. Where rows are shorter than a vector, the whole image is one row."""

    @property
    def square(self) -> int:
        """Channels and pixels that are transposed together in one segment of a vector."""
        return SEGMENT_BYTES // int(np.dtype(self.dtype).itemsize)

    @property
    def has_rows(self) -> bool:
        return self.width >= self.square

    @property
    def rows(self) -> int:
        return self.height if self.has_rows else 1

    @property
    def columns(self) -> int:
        return self.width if self.has_rows else self.height * self.width

    @property
    def chunks(self) -> int:
        """Sixteens of channels that a pixel takes in the buffer."""
        return ceil(self.channels / CHANNEL_BLOCK)

    @property
    def array_shape(self) -> tuple[int, ...]:
        return self.batch, self.groups, self.channels, self.rows, self.columns

    @property
    def has_blocks(self) -> bool:
        """Whether chunks are a dimension of the buffer: where a block is one. TVM shrinks such a dimension to those
        that it sees begin, so vectors of several chunks need it flat."""
        return self.lanes == CHANNEL_BLOCK and not self.is_flat

    @property
    def buffer_shape(self) -> tuple[int, ...]:
        """NHWC, the channels of each group filled up to chunks."""
        channels = (self.chunks, CHANNEL_BLOCK) if self.has_blocks else (self.chunks * CHANNEL_BLOCK,)
        return self.batch, self.groups, self.rows, self.columns, *channels

    @staticmethod
    def in_array(n: Expr, h: Expr, w: Expr, c: Expr) -> Index:
        return n, c, h, w

    def part(self, n: Expr, h: Expr, w: Expr, g: Expr, index: Expr, size: int, first: Expr) -> Index:
        """In the buffer."""
        row, column = (h, w) if self.has_rows else (0, h * self.width + w)
        return n, g, row, column, *self.channels_at(index, size, first)

    def channels_at(self, index: Expr, size: int, first: Expr = 0) -> Index:
        """Channel `first` of part `index` of a pixel in the buffer."""
        if self.has_blocks:
            return index * (size // CHANNEL_BLOCK), first
        return (index * size + first,)

    def channels_of(self, index: Expr, size: int, unit: Expr) -> tuple[slice, ...]:
        """All channels of part `index`, as a region; `unit` is a block variable of extent 1."""
        if self.has_blocks:
            return part(index, size // CHANNEL_BLOCK), part(unit, CHANNEL_BLOCK)
        return (part(index, size),)
