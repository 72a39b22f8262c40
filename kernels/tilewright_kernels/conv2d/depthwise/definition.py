"""Depthwise convolutions in whole vectors of channels: pixels are interleaved into quads in registers, never stored.

A vector holds one byte of each of its channels. Four neighbouring pixels A, B, C, D of a row become four vectors of
quads (a b c d of one channel in each lane of 32 bits) by unpacking twice: bytes of A with B and C with D, then pairs
with pairs. Unpacking works inside 128-bit parts, so the channels of the four vectors come out of order:

    vector j, lane l   <->   channel 16 * (l // 4) + 4 * j + l % 4

Weights, bias and scale are packed in that order, and packing the four sums down to bytes, which also works inside
128-bit parts, puts the channels back. Where the channels do not fill vectors, a vector holds several pixels: a row
is cut into `stretches`, which are staged and computed side by side.
"""

from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import VECTORS
from tilewright_kernels.conv2d.depthwise.staging import StretchRows
from tilewright_kernels.conv2d.depthwise.tiling import DepthwiseShape
from tilewright_kernels.conv2d.signature import Arguments, Signature, prim_func
from tilewright_kernels.isa.dots import Dot, Narrowing
from tilewright_kernels.isa.vectors import interleaved_in_segments, narrowed
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.layouts.table import whole_data, whole_results
from tilewright_kernels.layouts.traits import IMPORT_DATA
from tilewright_kernels.tir import Buffer, Expr, accumulate, allocate, inline, whole


def depthwise(workload: Workload, dot: Dot) -> Any:
    """data and out in the workload's layout, weight (block, output of a group, kernel height, quad, vector, lane, 4).

    Blocks: `stage` (the padding, int8 shifted to uint8), `interleave`, `conv`, `requantise`; those of the layout.
    """
    shape, narrowing = DepthwiseShape.of(workload, dot), dot.vectors.narrowing
    assert narrowing is not None, "paths without it have no depthwise space"
    rows = StretchRows(workload, dot, shape, whole_data(workload))
    products = Products(workload, dot, shape)
    results = whole_results(workload)

    def emit(given: Arguments) -> None:
        data = rows.data.imported(given.data, IMPORT_DATA)
        source = allocate("source", (workload.batch, rows.rows * shape.row_bytes), dot.data_dtype)
        rows.stage(data, given.data_zero_point, source)
        quads = products.interleave(source, rows.rows)
        total = products.multiply(quads, given.weight, given.bias)
        result = results.result(given.out)
        Results(workload, dot, shape, narrowing, rows, results).requantise(total, given.scale, given.output, result)
        results.export(result, given.out)

    channels = shape.blocks, VECTORS, dot.lanes
    weight_shape = shape.blocks, shape.outputs, workload.kernel_size[0], shape.k_groups, *channels[1:], dot.products
    shapes = rows.data.array_shape, weight_shape, dot.weight_dtype, channels, results.array_shape
    return prim_func(Signature(workload, *shapes), emit)


@dataclass(frozen=True)
class Products:
    """Rows of quads, and their products with the weights."""

    workload: Workload
    dot: Dot
    shape: DepthwiseShape

    @property
    def block_bytes(self) -> int:
        """Of the quads of one block, at one group of outputs."""
        return self.shape.k_groups * VECTORS * self.dot.macs

    @property
    def taps(self) -> int:
        """Columns that a group of outputs reads."""
        extent = (self.workload.kernel_size[1] - 1) * self.workload.dilation[1] + 1
        return (self.shape.outputs - 1) * self.workload.stride[1] + extent

    def interleave(self, source: Buffer, rows: int) -> Buffer:
        """Block `interleave`: (image, padded row, group of outputs, bytes of all blocks)."""
        N, GROUPS, BLOCKS, SIZE = self.workload.batch, self.shape.groups, self.shape.blocks, self.block_bytes
        ROW = self.shape.row_bytes
        quads = allocate("quads", (N, rows, GROUPS, BLOCKS * SIZE), self.dot.data_dtype, scope="local")

        @inline
        def block() -> None:
            for n, h, g, b in T.grid(N, rows, GROUPS, BLOCKS):
                with T.sblock("interleave"):
                    vn, vh, vg, vb = T.axis.remap("SSSS", [n, h, g, b])
                    T.reads(source[vn, vh * ROW : vh * ROW + ROW])
                    T.writes(quads[vn, vh, vg, vb * SIZE : vb * SIZE + SIZE])
                    self._quads(quads, source, vn, vh, vg, vb)

        block()
        return quads

    def _quads(self, quads: Buffer, source: Buffer, n: Expr, h: Expr, g: Expr, b: Expr) -> None:
        """Four vectors of each quad of a row."""
        shape, size = self.shape, self.dot.macs
        pixel = shape.blocks * size
        start = h * shape.row_bytes + g * (shape.outputs * self.workload.stride[1] * pixel) + b * size
        vector_dtype = f"{self.dot.data_dtype}x{size}"
        for q in range(shape.k_groups):
            pixels = [source.vload([n, start + column * pixel], vector_dtype) for column in self._columns(q)]
            for vector, value in enumerate(interleaved_in_segments(pixels)):
                first = b * self.block_bytes + (q * VECTORS + vector) * size
                T.buffer_store(quads, value, [n, h, g, T.ramp(first, 1, size)])

    def _columns(self, q: int) -> list[int]:
        """Of quad `q`; what stands for a column that no tap reads is one that is.

        Interleaved with itself, the last of three makes LLVM trade each unpacking for two shuffles; with the first it
        does not. One or two columns are better repeated: one shuffle then does the work of two unpackings.
        """
        first, size = q * self.dot.products, self.dot.products
        unread = first if self.taps - first == size - 1 else self.taps - 1
        return [column if column < self.taps else unread for column in range(first, first + size)]

    def multiply(self, quads: Buffer, weight: Buffer, bias: Buffer) -> Buffer:
        """Block `conv`: (image, row, group of outputs, block, output, vector, lane)."""
        shape, (SH, _), (DH, _) = self.shape, self.workload.stride, self.workload.dilation
        sums = shape.groups, shape.blocks, shape.outputs, VECTORS, self.dot.lanes
        N, OH, KH = self.workload.batch, self.workload.out_height, self.workload.kernel_size[0]
        SIZE, BYTES, QUAD = self.block_bytes, self.dot.macs, self.dot.products
        total = allocate("total", (N, OH, *sums), "int32", scope="local")

        @inline
        def block() -> None:
            for n, h, g, b, o, j, lane, kh, q, i in T.grid(N, OH, *sums, KH, shape.k_groups, QUAD):
                with T.sblock("conv"):
                    vn, vh, vg, vb, vo, vj, vl, vkh, vq, vi = T.axis.remap(
                        "SSSSSSSRRR", [n, h, g, b, o, j, lane, kh, q, i]
                    )
                    accumulate(
                        total[vn, vh, vg, vb, vo, vj, vl],
                        bias[vb, vj, vl],
                        quads[vn, vh * SH + vkh * DH, vg, vb * SIZE + (vq * VECTORS + vj) * BYTES + vl * QUAD + vi],
                        weight[vb, vo, vkh, vq, vj, vl, vi],
                    )

        block()
        return total


@dataclass(frozen=True)
class Results:
    """Sums that are narrowed to bytes, the channels of every stretch stored where they belong."""

    workload: Workload
    dot: Dot
    shape: DepthwiseShape
    narrowing: Narrowing
    rows: StretchRows
    results: Activations

    def requantise(self, total: Buffer, scale: Buffer, output: Buffer, result: Buffer) -> None:
        """Block `requantise`."""
        shape, LANES = self.shape, self.dot.lanes
        outputs = self.workload.batch, self.workload.out_height, shape.groups, shape.blocks, shape.outputs

        @inline
        def block() -> None:
            for n, h, g, b, o in T.grid(*outputs):
                with T.sblock("requantise"):
                    vn, vh, vg, vb, vo = T.axis.remap("SSSSS", [n, h, g, b, o])
                    T.reads(total[vn, vh, vg, vb, vo, 0:VECTORS, 0:LANES], scale[vb, 0:VECTORS, 0:LANES], output[0:3])
                    T.writes(whole(result))
                    self._output(total, scale, output, result, [vn, vh, vg, vb, vo])

        block()

    def _output(self, total: Buffer, scale: Buffer, output: Buffer, result: Buffer, index: list[Expr]) -> None:
        """One output of every stretch."""
        (n, h, g, b, o), shape, lanes = index, self.shape, self.dot.lanes
        sums = [T.Cast(f"float32x{lanes}", total.vload([*index, j, 0], f"int32x{lanes}")) for j in range(VECTORS)]
        scales = [scale.vload([b, j, 0], f"float32x{lanes}") for j in range(VECTORS)]
        scaled = [each * factor for each, factor in zip(sums, scales, strict=True)]
        values = narrowed(self.narrowing, self.workload.out_dtype, scaled, output)
        for stretch in range(shape.stretches):
            column = stretch * shape.stretch_columns + g * shape.outputs + o
            if (stretch + 1) * shape.stretch_columns <= self.workload.out_width:
                self._store_stretch(result, values, (n, h, column), b, stretch)
            else:
                with T.If(column < self.workload.out_width), T.Then():
                    self._store_stretch(result, values, (n, h, column), b, stretch)

    def _store_stretch(self, result: Buffer, values: Expr, pixel: tuple[Expr, ...], b: Expr, stretch: int) -> None:
        """The channels of a block, of which the last may have fewer."""
        whole_block, last = [(0, self.shape.channels)], self.rows.pieces_of(self.shape.blocks - 1)
        if self.shape.blocks == 1 or last == whole_block:
            self._store_pieces(result, values, pixel, b, stretch, last)
            return
        with T.If(b < self.shape.blocks - 1):
            with T.Then():
                self._store_pieces(result, values, pixel, b, stretch, whole_block)
            with T.Else():
                self._store_pieces(result, values, pixel, b, stretch, last)

    def _store_pieces(
        self,
        result: Buffer,
        values: Expr,
        pixel: tuple[Expr, ...],
        b: Expr,
        stretch: int,
        pieces: list[tuple[int, int]],
    ) -> None:
        n, h, column = pixel
        for first, size in pieces:
            start = stretch * self.shape.channels + first
            is_whole = size == self.dot.macs
            vector = values if is_whole else tirx.Shuffle([values], list(range(start, start + size)))
            index = self.results.element(n, h, column, 0, b * self.shape.channels + first)
            self.results.store(result, vector, index, size)
