"""Results of depthwise kernels: four vectors of sums become one of bytes, whose parts are stored where they belong."""

from dataclasses import dataclass

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import VECTORS
from tilewright_kernels.conv2d.depthwise.staging import Pieces, StretchRows
from tilewright_kernels.conv2d.depthwise.tiling import DepthwiseShape
from tilewright_kernels.isa.dots import Dot, Narrowing
from tilewright_kernels.isa.vectors import narrowed
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.tir import Buffer, Expr, inline, whole


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
        self, result: Buffer, values: Expr, pixel: tuple[Expr, ...], b: Expr, stretch: int, pieces: Pieces
    ) -> None:
        n, h, column = pixel
        for first, size in pieces:
            start = stretch * self.shape.channels + first
            is_whole = size == self.dot.macs
            vector = values if is_whole else tirx.Shuffle([values], list(range(start, start + size)))
            index = self.results.element(n, h, column, 0, b * self.shape.channels + first)
            self.results.store(result, vector, index, size)
