"""Pixels for depthwise kernels: four neighbours of a row side by side, for each channel."""

from dataclasses import dataclass

from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import VECTORS
from tilewright_kernels.conv2d.depthwise.tiling import DepthwiseShape
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.vectors import interleaved_in_segments
from tilewright_kernels.tir import Buffer, Expr, allocate, inline


@dataclass(frozen=True)
class KGroups:
    """Of one channel each, in registers: (image, padded row, group of outputs, bytes of all blocks)."""

    workload: Workload
    dot: Dot
    shape: DepthwiseShape

    @property
    def block_bytes(self) -> int:
        """Of the k_groups of one block, at one group of outputs."""
        return self.shape.k_groups * VECTORS * self.dot.macs

    @property
    def taps(self) -> int:
        """Columns that a group of outputs reads."""
        extent = (self.workload.kernel_size[1] - 1) * self.workload.dilation[1] + 1
        return (self.shape.outputs - 1) * self.workload.stride[1] + extent

    def interleave(self, source: Buffer, rows: int) -> Buffer:
        """Block `interleave`."""
        N, GROUPS, BLOCKS, SIZE = self.workload.batch, self.shape.groups, self.shape.blocks, self.block_bytes
        ROW = self.shape.row_bytes
        k_groups = allocate("k_groups", (N, rows, GROUPS, BLOCKS * SIZE), self.dot.data_dtype, scope="local")

        @inline
        def block() -> None:
            for n, h, g, b in T.grid(N, rows, GROUPS, BLOCKS):
                with T.sblock("interleave"):
                    vn, vh, vg, vb = T.axis.remap("SSSS", [n, h, g, b])
                    T.reads(source[vn, vh * ROW : vh * ROW + ROW])
                    T.writes(k_groups[vn, vh, vg, vb * SIZE : vb * SIZE + SIZE])
                    self._row(k_groups, source, vn, vh, vg, vb)

        block()
        return k_groups

    def _row(self, k_groups: Buffer, source: Buffer, n: Expr, h: Expr, g: Expr, b: Expr) -> None:
        """Four vectors of each k_group of a row."""
        shape, size, dtype = self.shape, self.dot.macs, f"{self.dot.data_dtype}x{self.dot.macs}"
        pixel = shape.blocks * size
        start = h * shape.row_bytes + g * (shape.outputs * self.workload.stride[1] * pixel) + b * size
        for q in range(shape.k_groups):
            pixels = [source.vload([n, start + column * pixel], dtype) for column in self._columns(q)]
            for vector, value in enumerate(interleaved_in_segments(pixels)):
                T.buffer_store(k_groups, value, [n, h, g, T.ramp(self.at(b, q, vector), 1, size)])

    def _columns(self, q: int) -> list[int]:
        """Of k_group `q`; what stands for a column that no tap reads is one that is.

        Interleaved with itself, the last of three makes LLVM trade each unpacking for two shuffles; with the first it
        does not. One or two columns are better repeated: one shuffle then does the work of two unpackings.
        """
        first, size = q * self.dot.products, self.dot.products
        unread = first if self.taps - first == size - 1 else self.taps - 1
        return [column if column < self.taps else unread for column in range(first, first + size)]

    def at(self, b: Expr, q: Expr, vector: Expr) -> Expr:
        """Where a vector of a k_group begins among the bytes of all blocks."""
        return b * self.block_bytes + (q * VECTORS + vector) * self.dot.macs
