"""Padded rows for depthwise kernels: its stretches side by side, a vector of bytes for column and block."""

from dataclasses import dataclass

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.depthwise.tiling import DepthwiseShape
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.operands import as_operands
from tilewright_kernels.isa.vectors import indices
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.tir import Buffer, Expr, inline, whole

Pieces = list[tuple[int, int]]
"""(first channel, how many) of vectors."""


def pieces(channels: int, size: int) -> Pieces:
    """Vectors that cover the first `channels` of `size`, each a power of two."""
    if channels == size:
        return [(0, size)]
    counts = [1 << bit for bit in reversed(range(channels.bit_length())) if channels >> bit & 1]
    return [(channels & ~(2 * count - 1), count) for count in counts]


@dataclass(frozen=True)
class StretchRows:
    """Bytes that have no channel are left as they are: their weights are zero."""

    workload: Workload
    dot: Dot
    shape: DepthwiseShape
    data: Activations

    @property
    def rows(self) -> int:
        return self.workload.padding[0] + self.workload.height + self.workload.padding[2]

    @property
    def pixel_bytes(self) -> int:
        """From a column to the next."""
        return self.shape.blocks * self.dot.macs

    def stage(self, data: Buffer, data_zero_point: Buffer, source: Buffer) -> None:
        """Block `stage`: `source` is (image, bytes of all rows)."""
        row_bytes = self.shape.row_bytes

        @inline
        def block() -> None:
            for n, h in T.grid(self.workload.batch, self.rows):
                with T.sblock("stage"):
                    vn, vh = T.axis.remap("SS", [n, h])
                    T.reads(whole(data), data_zero_point[0])
                    T.writes(source[vn, vh * row_bytes : vh * row_bytes + row_bytes])
                    self._row(data, data_zero_point, source, vn, vh)

        block()

    def _row(self, data: Buffer, data_zero_point: Buffer, source: Buffer, n: Expr, h: Expr) -> None:
        top, _, bottom, _ = self.workload.padding
        row_bytes, size = self.shape.row_bytes, self.dot.macs
        if not (top or bottom):
            self._stretches(data, data_zero_point, source, n, h)
            return
        with T.If(tirx.all(h >= top, h < top + self.workload.height)):
            with T.Then():
                self._stretches(data, data_zero_point, source, n, h)
            with T.Else(), T.serial(0, row_bytes // size) as vector:
                self._fill(data_zero_point, source, n, h * row_bytes + vector * size, size)

    def _stretches(self, data: Buffer, data_zero_point: Buffer, source: Buffer, n: Expr, h: Expr) -> None:
        shape, (top, left, _, _) = self.shape, self.workload.padding
        for stretch in range(shape.stretches):
            before = left - stretch * shape.stretch_columns * self.workload.stride[1]
            first, last = (min(max(edge, 0), shape.columns) for edge in (before, before + self.workload.width))
            start = h * shape.row_bytes + stretch * shape.channels
            for begin, end in ((0, first), (last, shape.columns)):
                if end > begin:
                    with T.serial(begin * shape.blocks, end * shape.blocks) as vector:
                        self._fill(data_zero_point, source, n, start + vector * self.dot.macs, shape.channels)
            if last > first:
                pixel = n, h - top, first - before
                self._copy_pixels(source, data, pixel, start + first * self.pixel_bytes, last - first)

    def _copy_pixels(self, source: Buffer, data: Buffer, pixel: tuple[Expr, ...], start: Expr, count: int) -> None:
        """`count` pixels of a row from `pixel` on: image, row, column."""
        (n, h, w), blocks, size = pixel, self.shape.blocks, self.dot.macs
        if self.workload.in_channels == self.pixel_bytes:
            with T.serial(0, count * blocks) as vector:
                column, b = w + vector // blocks, vector % blocks
                self._copy(source, data, (n, h, column), b * size, start + vector * size, size)
            return
        with T.serial(0, count) as column:
            for b in range(blocks):
                for first, channels in self.pieces_of(b):
                    at = start + column * self.pixel_bytes + b * size + first
                    self._copy(source, data, (n, h, w + column), b * self.shape.channels + first, at, channels)

    def pieces_of(self, block: int) -> Pieces:
        """Vectors that cover the channels of a block."""
        size = self.shape.channels
        return pieces(min(self.workload.in_channels - block * size, size), size)

    def _copy(
        self, source: Buffer, data: Buffer, pixel: tuple[Expr, ...], channel: Expr, start: Expr, size: int
    ) -> None:
        n, h, w = pixel
        vector = self.data.load(data, self.data.element(n, h, w, 0, channel), size)
        T.buffer_store(source, as_operands(vector, self.data.dtype, size, self.dot), [n, indices(start, size)])

    def _fill(self, data_zero_point: Buffer, source: Buffer, n: Expr, start: Expr, size: int) -> None:
        zero_point = T.Cast(self.dot.data_dtype, data_zero_point[0])
        T.buffer_store(source, T.broadcast(zero_point, size), [n, indices(start, size)])
