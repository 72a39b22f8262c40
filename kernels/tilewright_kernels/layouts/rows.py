"""Padded rows of NCHW data for a dot product: the channels that it sums side by side, pixel after pixel."""

from math import ceil

from tvm import tirx
from tvm.script import tirx as T

from tilewright_kernels.isa.dots import SEGMENT_BYTES
from tilewright_kernels.isa.operands import as_operands
from tilewright_kernels.isa.vectors import interleaved
from tilewright_kernels.layouts.planes import power_of_two
from tilewright_kernels.layouts.staging import Staging
from tilewright_kernels.tir import Buffer, Expr, Index, inline, part


class RowStaging(Staging):
    """Rows of k_groups, each made of as many planes at once."""

    @property
    def data_shape(self) -> tuple[int, ...]:
        return self.data.batch, self.data.groups, self.data.channels, self.data.height, self.data.width

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.batch, self.data.groups, self.rows, self.k_groups, self.columns, self.dot.products

    def index(self, n: Expr, h: Expr, w: Expr, g: Expr, q: Expr, i: Expr) -> Index:
        return n, g, h, q, w, i

    def stage(self, data: Buffer, data_zero_point: Buffer, source: Buffer) -> None:
        """Block `stage`. Its loops: image, group, row, k_group, unit."""
        N, G, C, H, W = self.data_shape

        @inline
        def block() -> None:
            for n, g, h, q, unit in T.grid(N, G, self.rows, self.k_groups, 1):
                with T.sblock("stage"):
                    vn, vg, vh, vq, vunit = T.axis.remap("SSSSS", [n, g, h, q, unit])
                    T.reads(data[vn, vg, 0:C, 0:H, 0:W], data_zero_point[0])
                    T.writes(source[vn, vg, vh, vq, part(vunit, self.columns), part(vunit, self.dot.products)])
                    self._row(data, data_zero_point, source, [vn, vg, vh, vq])

        block()

    def _row(self, data: Buffer, data_zero_point: Buffer, source: Buffer, row: list[Expr]) -> None:
        top, left, _, right = self.padding
        height, width = self.data.height, self.data.width
        with T.If(tirx.all(row[2] >= top, row[2] < top + height)):
            with T.Then():
                self._fill(data_zero_point, source, row, 0, left)
                with T.serial(0, ceil(width / self._pixels)) as vector:
                    self._copy(data, source, row, tirx.min(vector * self._pixels, width - self._pixels))
                self._fill(data_zero_point, source, row, left + width, right)
            with T.Else():
                self._fill(data_zero_point, source, row, 0, self.columns)

    @property
    def _pixels(self) -> int:
        """That are copied together; the last of a row overlap those before."""
        return power_of_two(min(self.data.width, SEGMENT_BYTES))

    def _fill(self, data_zero_point: Buffer, source: Buffer, row: list[Expr], first: int, count: int) -> None:
        K = self.dot.products
        with T.serial(0, count) as column:
            zero_point = T.broadcast(T.cast(data_zero_point[0], self.dot.data_dtype), K)
            T.buffer_store(source, zero_point, [*row, first + column, T.ramp(0, 1, K)])

    def _copy(self, data: Buffer, source: Buffer, row: list[Expr], first: Expr) -> None:
        """Pixels from column `first` of the data on. Channels beyond the last repeat it: their weights are zero."""
        (n, g, h, q), K = row, self.dot.products
        channels = [tirx.min(q * K + tap, self.data.channels - 1) for tap in range(K)]
        index = [(n, g, channel, h - self.padding[0], first) for channel in channels]
        vectors = [data.vload(list(each), f"{self.data.dtype}x{self._pixels}") for each in index]
        value = self._k_groups_of(vectors)
        T.buffer_store(source, value, [*row, self.padding[1] + first, T.ramp(0, 1, K * self._pixels)])

    def _k_groups_of(self, planes: list[Expr]) -> Expr:
        """Vectors of pixels, one for each channel, as operands."""
        dot, pixels = self.dot, self._pixels
        if dot.lanes == pixels == SEGMENT_BYTES and dot.multiplies_bytes:
            together = interleaved(dot.vectors, planes)
        else:
            order = [tap * pixels + pixel for pixel in range(pixels) for tap in range(len(planes))]
            together = tirx.Shuffle(planes, order)
        return as_operands(together, self.data.dtype, pixels * dot.products, dot)
