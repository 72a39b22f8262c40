"""The padded data of a kernel, laid out for a dot product whose data is the same for all lanes."""

from dataclasses import dataclass
from math import ceil

from tvm.script import tirx as T

from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.operands import as_operand
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.tir import Buffer, Expr, Index, all_of, inline


@dataclass(frozen=True)
class Staging:
    """NHWC, the channels of each group filled up to k_groups: `dot.products` of them, which one product sums."""

    data: Activations
    padding: tuple[int, int, int, int]
    dot: Dot

    @property
    def k_groups(self) -> int:
        """Of a pixel and group."""
        return ceil(self.data.channels / self.dot.products)

    @property
    def rows(self) -> int:
        return self.padding[0] + self.data.height + self.padding[2]

    @property
    def columns(self) -> int:
        return self.padding[1] + self.data.width + self.padding[3]

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Of the caller's array, as the kernel declares it."""
        return self.data.array_shape

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the staged data."""
        return self.data.batch, self.rows, self.columns, self.data.groups, self.k_groups * self.dot.products

    def index(self, n: Expr, h: Expr, w: Expr, g: Expr, q: Expr, i: Expr) -> Index:
        """Of element `i` of k_group `q` in the staged data, at a padded position."""
        return n, h, w, g, q * self.dot.products + i

    def stage(self, data: Buffer, data_zero_point: Buffer, source: Buffer) -> None:
        """Block `stage`. Its loops: image, group, row, column, channel."""
        N, G, K = self.data.batch, self.data.groups, self.dot.products

        @inline
        def block() -> None:
            for n, g, h, w, c in T.grid(N, G, self.rows, self.columns, self.k_groups * K):
                with T.sblock("stage"):
                    vn, vg, vh, vw, vc = T.axis.remap("SSSSS", [n, g, h, w, c])
                    source[vn, vh, vw, vg, vc] = self.element(data, data_zero_point, vn, vh, vw, vg, vc)

        block()

    def element(self, data: Buffer, data_zero_point: Buffer, n: Expr, h: Expr, w: Expr, g: Expr, c: Expr) -> Expr:
        """At a padded position: the caller's element, or the zero point outside."""
        top, left, _, _ = self.padding
        inside = []
        if any(self.padding):
            inside += [h >= top, h < top + self.data.height, w >= left, w < left + self.data.width]
        if self.data.channels % self.dot.products:
            inside.append(c < self.data.channels)
        value = as_operand(data.vload(self.data.element(n, h - top, w - left, g, c)), self.data.dtype, self.dot)
        return all_of(inside, value, T.cast(data_zero_point[0], self.dot.data_dtype))
