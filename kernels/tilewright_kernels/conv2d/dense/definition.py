# mypy: ignore-errors
"""A convolution over many channels, laid out for a four-way dot-product instruction; groups stand side by side."""

from dataclasses import dataclass

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import CHANNEL_BLOCK, Workload
from tilewright_kernels.conv2d.channels import fills_blocks, group_in, group_out, stores_blocks
from tilewright_kernels.conv2d.dense.choices import loops_of, reads_data_directly
from tilewright_kernels.conv2d.epilogue import added_shape, requantise, residual_addend
from tilewright_kernels.conv2d.tiling import TiledLoops
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.activations import Planes, enter, leave, part, turned_quads


def as_operand(element, dtype: str, dot: Dot):
    """An element of the data as the instruction takes it.

    vpdpbusd multiplies unsigned by signed: int8 data moves up by 128, and the bias takes it back.
    """
    if dtype == dot.data_dtype:
        return element
    return T.cast(T.cast(element, "int32") + dot.data_offset(dtype), dot.data_dtype)


@dataclass(frozen=True)
class NhwcArrays:
    """Where a dense kernel finds and puts elements: channels of a group by quads or blocks."""

    workload: Workload
    dot: Dot

    @property
    def shape(self) -> TiledLoops:
        return loops_of(self.workload, self.dot)

    @property
    def padded(self) -> tuple[int, int]:
        top, left, bottom, right = self.workload.padding
        return top + self.shape.height + bottom, left + self.shape.width + right

    @property
    def data_shape(self) -> tuple[int, ...]:
        shape = self.shape
        return shape.batch, shape.height, shape.width, shape.groups, group_in(self.workload)

    @property
    def source_shape(self) -> tuple[int, ...]:
        """Of the staged data."""
        return self.shape.batch, *self.padded, self.shape.groups, self.shape.channel_quads * self.dot.products

    @property
    def out_shape(self) -> tuple[int, ...]:
        shape, channels = self.shape, group_out(self.workload)
        pixels = shape.batch, shape.out_height, shape.out_width, shape.groups
        whole = fills_blocks(channels, shape.lanes)
        return (*pixels, shape.channel_blocks, shape.lanes) if whole else (*pixels, channels)

    def data(self, n, h, w, g, c):
        return n, h, w, g, c

    def source(self, n, h, w, g, q, i):
        """Also of the data where they are read directly."""
        return n, h, w, g, q * self.dot.products + i

    def block(self, n, h, w, g, b, lane):
        """A lane of a result whose blocks are whole."""
        return n, h, w, g, b, lane

    def channel(self, n, h, w, g, c):
        """A result whose blocks are not."""
        return n, h, w, g, c


class Nchw16cArrays(NhwcArrays):
    """Staged data are NHWC: the chunks of sixteen channels only move."""

    @property
    def data_shape(self) -> tuple[int, ...]:
        shape = self.shape
        return shape.batch, self.workload.in_channels // CHANNEL_BLOCK, shape.height, shape.width, CHANNEL_BLOCK

    @property
    def out_shape(self) -> tuple[int, ...]:
        shape = self.shape
        chunks = self.workload.out_channels // CHANNEL_BLOCK
        return shape.batch, chunks, shape.out_height, shape.out_width, CHANNEL_BLOCK

    def data(self, n, h, w, g, c):
        channel = g * group_in(self.workload) + c
        return n, channel // CHANNEL_BLOCK, h, w, channel % CHANNEL_BLOCK

    def source(self, n, h, w, g, q, i):
        if not reads_data_directly(self.workload, self.dot):
            return super().source(n, h, w, g, q, i)
        quads, quad = CHANNEL_BLOCK // self.dot.products, g * self.shape.channel_quads + q
        return n, quad // quads, h, w, quad % quads * self.dot.products + i

    def block(self, n, h, w, g, b, lane):
        blocks, block = CHANNEL_BLOCK // self.shape.lanes, g * self.shape.channel_blocks + b
        return n, block // blocks, h, w, block % blocks * self.shape.lanes + lane

    def channel(self, n, h, w, g, c):
        channel = g * group_out(self.workload) + c
        return n, channel // CHANNEL_BLOCK, h, w, channel % CHANNEL_BLOCK


class NchwArrays(NhwcArrays):
    """Staged data have the quads of a row of pixels side by side; results and residuals are in NHWC buffers."""

    @property
    def planes(self) -> Planes:
        shape = self.shape
        pixels = shape.out_height, shape.out_width
        out_dtype = self.workload.out_dtype
        return Planes(shape.batch, shape.groups, group_out(self.workload), *pixels, out_dtype, shape.lanes)

    @property
    def data_shape(self) -> tuple[int, ...]:
        shape = self.shape
        return shape.batch, shape.groups, group_in(self.workload), shape.height, shape.width

    @property
    def source_shape(self) -> tuple[int, ...]:
        (rows, columns), shape = self.padded, self.shape
        return shape.batch, shape.groups, rows, shape.channel_quads, columns, self.dot.products

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.planes.shape

    def source(self, n, h, w, g, q, i):
        return n, g, h, q, w, i

    def block(self, n, h, w, g, b, lane):
        return self.planes.place(n, g, h, w, b, lane)


ARRAYS = {"NHWC": NhwcArrays, "NCHW": NchwArrays, "NCHW16c": Nchw16cArrays}


def dense(workload: Workload, dot: Dot):
    """data and out in the workload's layout; weight (group, channel block, kernel height, kernel width, channel quad,
    lane, 4).

    Blocks: `stage` (padding, a multiple of four channels, int8 shifted to uint8), `conv`, `requantise`, and `store`
    where the output channels do not fill whole blocks. In NCHW also `export`, and `import_residual`.
    """
    shape, arrays = loops_of(workload, dot), ARRAYS[workload.layout](workload, dot)
    N, H, W, G, C = shape.batch, shape.height, shape.width, shape.groups, group_in(workload)
    OH, OW, OC = shape.out_height, shape.out_width, group_out(workload)
    (KH, KW), (SH, SW), (DH, DW) = workload.kernel_size, workload.stride, workload.dilation
    top, left, _, _ = workload.padding
    PH, PW = arrays.padded
    QUAD, operand = dot.products, dot.data_dtype
    QUADS, BLOCKS, LANES, PARTS = shape.channel_quads, shape.channel_blocks, shape.lanes, shape.parts
    data_dtype, out_dtype = workload.data_dtype, workload.out_dtype
    whole_blocks, is_nchw = stores_blocks(workload, dot), workload.layout == "NCHW"
    is_direct = reads_data_directly(workload, dot) and workload.layout == "NCHW16c"

    def staged(data, data_zero_point, n, h, w, g, c):
        """The input at a padded position: the caller's element, or the zero point outside."""
        element = as_operand(data.vload(arrays.data(n, h - top, w - left, g, c)), data_dtype, dot)
        inside = []
        if any(workload.padding):
            inside += [h >= top, h < top + H, w >= left, w < left + W]
        if C % QUAD:
            inside.append(c < C)
        return T.if_then_else(tirx.all(*inside), element, T.cast(data_zero_point[0], operand)) if inside else element

    def read(source, n, h, w, g, q, kh, kw, i):
        """The data of a product."""
        return source.vload(arrays.source(n, h * SH + kh * DH, w * SW + kw * DW, g, q, i))

    def first_sum(bias, g, b, p, lane):
        """The bias is in one of the parts."""
        start = bias[g, b, lane]
        return start if PARTS == 1 else T.if_then_else(p == 0, start, 0)

    def whole_sum(total, n, g, h, w, b, lane):
        return sum((total[n, g, h, w, p, b, lane] for p in range(1, PARTS)), total[n, g, h, w, 0, b, lane])

    def addend(residual, addition, n, h, w, g, b, lane):
        if not workload.residual:
            return None
        if whole_blocks:
            return residual_addend(residual.vload(arrays.block(n, h, w, g, b, lane)), addition)
        channel = tirx.min(b * LANES + lane, OC - 1)
        return residual_addend(residual.vload(arrays.channel(n, h, w, g, channel)), addition)

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer(arrays.data_shape, data_dtype, align=1),
        weight: T.Buffer((G, BLOCKS, KH, KW, QUADS, LANES, QUAD), dot.weight_dtype),
        bias: T.Buffer((G, BLOCKS, LANES), "int32"),
        scale: T.Buffer((G, BLOCKS, LANES), "float32"),
        data_zero_point: T.Buffer((1,), "int32"),
        output: T.Buffer((3,), "int32"),
        addition: T.Buffer((2,), "float32"),
        residual: T.Buffer(added_shape(workload, arrays.out_shape), workload.residual_dtype, align=1),
        out: T.Buffer(arrays.out_shape, out_dtype, align=1),
    ):
        T.func_attr({"tirx.noalias": True})
        if not is_direct:
            source = T.sblock_alloc_buffer(arrays.source_shape, operand)
        total = T.sblock_alloc_buffer((N, G, OH, OW, PARTS, BLOCKS, LANES), "int32", scope="local")
        if is_nchw:
            for n, g, h, q, whole in T.grid(N, G, PH, QUADS, 1):
                with T.sblock("stage"):
                    vn, vg, vh, vq, vwhole = T.axis.remap("SSSSS", [n, g, h, q, whole])
                    T.reads(data[vn, vg, 0:C, 0:H, 0:W], data_zero_point[0])
                    T.writes(source[vn, vg, vh, vq, part(vwhole, PW), part(vwhole, QUAD)])
                    turned_quads(workload, dot, data, data_zero_point, source, [vn, vg, vh, vq])
        elif not is_direct:
            for n, g, h, w, c in T.grid(N, G, PH, PW, QUADS * QUAD):
                with T.sblock("stage"):
                    vn, vg, vh, vw, vc = T.axis.remap("SSSSS", [n, g, h, w, c])
                    source[vn, vh, vw, vg, vc] = staged(data, data_zero_point, vn, vh, vw, vg, vc)
        if is_nchw and workload.residual:
            added = T.sblock_alloc_buffer(arrays.planes.buffer_shape, workload.residual_dtype)
            enter(arrays.planes, residual, added, "import_residual")
        for n, g, h, w, split, b, lane, kh, kw, q, i in T.grid(
            N, G, OH, OW, PARTS, BLOCKS, LANES, KH, KW, QUADS // PARTS, QUAD
        ):
            with T.sblock("conv"):
                vn, vg, vh, vw, vs, vb, vl, vkh, vkw, vq, vi = T.axis.remap(
                    "SSSSSSSRRRR", [n, g, h, w, split, b, lane, kh, kw, q, i]
                )
                # Without the bias: an update block that reads more than the instruction does cannot be tensorized.
                T.reads(
                    read(data if is_direct else source, vn, vh, vw, vg, vq * PARTS + vs, vkh, vkw, vi),
                    weight[vg, vb, vkh, vkw, vq * PARTS + vs, vl, vi],
                )
                T.writes(total[vn, vg, vh, vw, vs, vb, vl])
                with T.init():
                    total[vn, vg, vh, vw, vs, vb, vl] = first_sum(bias, vg, vb, vs, vl)
                total[vn, vg, vh, vw, vs, vb, vl] = total[vn, vg, vh, vw, vs, vb, vl] + T.cast(
                    read(data if is_direct else source, vn, vh, vw, vg, vq * PARTS + vs, vkh, vkw, vi), "int32"
                ) * T.cast(weight[vg, vb, vkh, vkw, vq * PARTS + vs, vl, vi], "int32")
        if whole_blocks:
            if is_nchw:
                result = T.sblock_alloc_buffer(arrays.planes.buffer_shape, out_dtype)
            for n, g, h, w, b, lane in T.grid(N, G, OH, OW, BLOCKS, LANES):
                with T.sblock("requantise"):
                    vn, vg, vh, vw, vb, vl = T.axis.remap("SSSSSS", [n, g, h, w, b, lane])
                    T.buffer_store(
                        result if is_nchw else out,
                        requantise(
                            workload,
                            whole_sum(total, vn, vg, vh, vw, vb, vl),
                            scale[vg, vb, vl],
                            output,
                            addend(
                                added if is_nchw and workload.residual else residual, addition, vn, vh, vw, vg, vb, vl
                            ),
                        ),
                        arrays.block(vn, vh, vw, vg, vb, vl),
                    )
            if is_nchw:
                leave(arrays.planes, result, out)
        else:
            result = T.sblock_alloc_buffer((N, G, OH, OW, BLOCKS, LANES), out_dtype, scope="local")
            for n, g, h, w, b, lane in T.grid(N, G, OH, OW, BLOCKS, LANES):
                with T.sblock("requantise"):
                    vn, vg, vh, vw, vb, vl = T.axis.remap("SSSSSS", [n, g, h, w, b, lane])
                    result[vn, vg, vh, vw, vb, vl] = requantise(
                        workload,
                        whole_sum(total, vn, vg, vh, vw, vb, vl),
                        scale[vg, vb, vl],
                        output,
                        addend(added if is_nchw and workload.residual else residual, addition, vn, vh, vw, vg, vb, vl),
                    )
            for n, g, h, w, c in T.grid(N, G, OH, OW, OC):
                with T.sblock("store"):
                    vn, vg, vh, vw, vc = T.axis.remap("SSSSS", [n, g, h, w, c])
                    T.buffer_store(
                        out, result[vn, vg, vh, vw, vc // LANES, vc % LANES], arrays.channel(vn, vh, vw, vg, vc)
                    )

    return main
