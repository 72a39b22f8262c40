"""NCHW16c: sixteen channels of a pixel stay together, so that it needs no more than other indices."""

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import CHANNEL_BLOCK
from tilewright_kernels.isa.vectors import elements
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.tir import Buffer, Expr, Index


class Nchw16c(Activations):
    @property
    def array_shape(self) -> tuple[int, ...]:
        chunks = self.groups * self.channels // CHANNEL_BLOCK
        return self.batch, chunks, self.height, self.width, CHANNEL_BLOCK

    @staticmethod
    def in_array(n: Expr, h: Expr, w: Expr, c: Expr) -> Index:
        return n, c // CHANNEL_BLOCK, h, w, c % CHANNEL_BLOCK

    def part(self, n: Expr, h: Expr, w: Expr, g: Expr, index: Expr, size: int, first: Expr) -> Index:
        """Parts are what a chunk is cut into."""
        in_chunk, at = CHANNEL_BLOCK // size, g * (self.channels // size) + index
        return n, at // in_chunk, h, w, at % in_chunk * size + first

    def load(self, buffer: Buffer, index: Index, size: int) -> Expr:
        """The channels are in one chunk, or are whole chunks."""
        if size <= CHANNEL_BLOCK:
            return super().load(buffer, index, size)
        chunks = [super(Nchw16c, self).load(buffer, chunk, CHANNEL_BLOCK) for chunk in _chunks(index, size)]
        return tirx.Shuffle(chunks, list(range(size)))

    def store(self, buffer: Buffer, vector: Expr, index: Index, size: int) -> None:
        if size <= CHANNEL_BLOCK:
            super().store(buffer, vector, index, size)
            return
        vector = T.bind(vector)
        for at, chunk in enumerate(_chunks(index, size)):
            super().store(buffer, elements(vector, at * CHANNEL_BLOCK, CHANNEL_BLOCK), chunk, CHANNEL_BLOCK)


def _chunks(index: Index, size: int) -> list[Index]:
    n, chunk, h, w, channel = index
    return [(n, chunk + at, h, w, channel) for at in range(size // CHANNEL_BLOCK)]
