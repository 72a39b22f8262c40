"""The k_groups of grouped kernels: four bytes for each lane, of neighbouring pixels or of channels of its group."""

from dataclasses import dataclass

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import group_in, group_out
from tilewright_kernels.conv2d.grouped.tiling import LaneShape, loads_vectors
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.operands import as_operand, as_operands
from tilewright_kernels.isa.vectors import interleaved, spread
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.tir import Buffer, Expr, all_of, allocate, inline, whole


@dataclass(frozen=True)
class KGroups:
    """(image, padded row, column of k_groups, k_group, bytes of all lanes)."""

    workload: Workload
    dot: Dot
    shape: LaneShape
    data: Activations

    @property
    def hold_taps(self) -> bool:
        """Whether a k_group is four neighbouring pixels of one channel."""
        return group_in(self.workload) == 1

    @property
    def buffer_shape(self) -> tuple[int, ...]:
        top, _, bottom, _ = self.workload.padding
        rows = top + self.workload.height + bottom
        return self.data.batch, rows, self.shape.columns, self.shape.k_groups, self.shape.blocks * self.dot.macs

    def interleave(self, data: Buffer, data_zero_point: Buffer) -> Buffer:
        """Block `interleave`: in whole vectors where channels fill them."""
        emit = self._interleave_vectors if loads_vectors(self.workload, self.dot) else self._interleave_bytes
        return emit(data, data_zero_point)

    def _interleave_vectors(self, data: Buffer, data_zero_point: Buffer) -> Buffer:
        *shape, _ = self.buffer_shape
        k_groups, BYTES = allocate("k_groups", self.buffer_shape, self.dot.data_dtype), self.dot.macs

        @inline
        def block() -> None:
            for n, h, w, q, b in T.grid(*shape, self.shape.blocks):
                with T.sblock("interleave"):
                    vn, vh, vw, vq, vb = T.axis.remap("SSSSS", [n, h, w, q, b])
                    T.reads(whole(data), data_zero_point[0])
                    T.writes(k_groups[vn, vh, vw, vq, vb * BYTES : vb * BYTES + BYTES])
                    k_groups[vn, vh, vw, vq, T.ramp(vb * BYTES, 1, BYTES)] = self._vector(
                        data, data_zero_point, vn, vh, vw, vq, vb
                    )

        block()
        return k_groups

    def _vector(
        self, data: Buffer, data_zero_point: Buffer, n: Expr, h: Expr, column: Expr, q: Expr, block: Expr
    ) -> Expr:
        """The k_groups of one block of lanes."""
        lanes, products = self.dot.lanes, self.dot.products

        def load(w: Expr, channel: Expr, size: int) -> Expr:
            return self._load(data, data_zero_point, n, h, w, channel, size)

        if self.hold_taps:
            first = column * self.shape.pixel_step + q * products
            return interleaved(self.dot.vectors, [load(first + tap, block * lanes, lanes) for tap in range(products)])
        of_group, to_group = group_in(self.workload), group_out(self.workload)
        size = lanes // to_group * of_group
        assert self.dot.vectors.permute is not None, "loads_vectors says so"
        first_of_lanes = [lane // to_group * (of_group // products) for lane in range(lanes)]
        return spread(self.dot.vectors.permute, load(column, block * size, size), first_of_lanes, q)

    def _load(self, data: Buffer, data_zero_point: Buffer, n: Expr, h: Expr, w: Expr, channel: Expr, size: int) -> Expr:
        """`size` channels of one padded pixel."""
        top, left, _, _ = self.workload.padding
        vector = self.data.load(data, self.data.element(n, h - top, w - left, 0, channel), size)
        outside = T.broadcast(T.cast(data_zero_point[0], self.dot.data_dtype), size)
        return all_of(self._inside(h, w), as_operands(vector, self.data.dtype, size, self.dot), outside)

    def _interleave_bytes(self, data: Buffer, data_zero_point: Buffer) -> Buffer:
        k_groups, K = allocate("k_groups", self.buffer_shape, self.dot.data_dtype), self.dot.products

        @inline
        def block() -> None:
            for n, h, w, q, y in T.grid(*self.buffer_shape):
                with T.sblock("interleave"):
                    vn, vh, vw, vq, vy = T.axis.remap("SSSSS", [n, h, w, q, y])
                    k_groups[vn, vh, vw, vq, vy] = self._byte(data, data_zero_point, vn, vh, vw, vq, vy // K, vy % K)

        block()
        return k_groups

    def _byte(
        self, data: Buffer, data_zero_point: Buffer, n: Expr, h: Expr, column: Expr, q: Expr, lane: Expr, byte: Expr
    ) -> Expr:
        """Lanes and bytes without a channel have weights of zero."""
        top, left, _, _ = self.workload.padding
        group = tirx.min(lane // group_out(self.workload), self.workload.groups - 1)
        at, channels = q * self.dot.products + byte, group_in(self.workload)
        channel = group if self.hold_taps else group * channels + tirx.min(at, channels - 1)
        w = column * self.shape.pixel_step + at if self.hold_taps else column
        value = data.vload(list(self.data.element(n, h - top, w - left, 0, channel)))
        outside = T.cast(data_zero_point[0], self.dot.data_dtype)
        return all_of(self._inside(h, w), as_operand(value, self.data.dtype, self.dot), outside)

    def _inside(self, h: Expr, w: Expr) -> list[Expr]:
        """What holds where a padded position is in the image, as far as some are outside."""
        (top, left, bottom, _), width = self.workload.padding, self.workload.width
        taps = self.shape.k_groups * self.dot.products if self.hold_taps else 1
        last = (self.shape.columns - 1) * self.shape.pixel_step + taps
        rows = [h >= top, h < top + self.workload.height] if top or bottom else []
        return rows + ([w >= left, w < left + width] if left or last > width else [])
