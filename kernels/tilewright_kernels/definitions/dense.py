# mypy: ignore-errors
"""A convolution over many channels, laid out for a four-way dot-product instruction; groups stand side by side."""

from dataclasses import dataclass
from math import ceil

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.definitions.epilogue import added_shape, requantise, residual_addend
from tilewright_kernels.dots import Dot


@dataclass(frozen=True)
class DenseShape:
    """The loops of the kernel. A 1x1 convolution without stride or padding is one long row of pixels."""

    batch: int
    groups: int
    height: int
    width: int
    out_height: int
    out_width: int
    channel_quads: int
    """Of one group, as are the blocks."""
    channel_blocks: int
    lanes: int

    @classmethod
    def of(cls, workload: Workload, dot: Dot) -> "DenseShape":
        groups = workload.groups
        quads, blocks = ceil(group_in(workload) / dot.products), ceil(group_out(workload) / dot.lanes)
        lanes = dot.lanes
        batch, height, width = workload.batch, workload.height, workload.width
        if is_pointwise(workload):
            pixels = batch * height * width
            return cls(1, groups, 1, pixels, 1, pixels, quads, blocks, lanes)
        return cls(batch, groups, height, width, workload.out_height, workload.out_width, quads, blocks, lanes)


def is_pointwise(workload: Workload) -> bool:
    """Whether every output pixel reads exactly the input pixel at its own place."""
    return workload.kernel_size == (1, 1) and workload.stride == (1, 1) and not any(workload.padding)


def reads_data_directly(workload: Workload, dot: Dot) -> bool:
    """Whether the instruction can read the caller's array: nothing to pad, to widen or to shift."""
    is_plain = not any(workload.padding) and group_in(workload) % dot.products == 0
    return is_plain and workload.data_dtype == dot.data_dtype


def group_in(workload: Workload) -> int:
    """Input channels of one group."""
    return workload.in_channels // workload.groups


def group_out(workload: Workload) -> int:
    """Output channels of one group."""
    return workload.out_channels // workload.groups


def fills_blocks(channels: int, lanes: int) -> bool:
    """Whether output channels fill whole vectors, so that results are stored straight from the registers."""
    return channels % lanes == 0


def as_operand(element, dtype: str, dot: Dot):
    """An element of the data as the instruction takes it.

    vpdpbusd multiplies unsigned by signed: int8 data moves up by 128, and the bias takes it back.
    """
    if dtype == dot.data_dtype:
        return element
    return T.cast(T.cast(element, "int32") + (128 if dot.has_bytes else 0), dot.data_dtype)


def dense(workload: Workload, dot: Dot):
    """data NHWC, weight (group, channel block, kernel height, kernel width, channel quad, lane, 4), out NHWC.

    Blocks: `stage` (padding, a multiple of four channels, int8 shifted to uint8), `conv`, `requantise`, and `store`
    where the output channels do not fill whole blocks.
    """
    shape = DenseShape.of(workload, dot)
    N, H, W, G, C = shape.batch, shape.height, shape.width, shape.groups, group_in(workload)
    OH, OW, OC = shape.out_height, shape.out_width, group_out(workload)
    (KH, KW), (SH, SW), (DH, DW) = workload.kernel_size, workload.stride, workload.dilation
    top, left, bottom, right = workload.padding
    PH, PW = top + H + bottom, left + W + right
    QUAD, operand = dot.products, dot.data_dtype
    QUADS, BLOCKS, LANES = shape.channel_quads, shape.channel_blocks, shape.lanes
    data_dtype, out_dtype = workload.data_dtype, workload.out_dtype
    whole_blocks = fills_blocks(OC, LANES)
    out_shape = (N, OH, OW, G, BLOCKS, LANES) if whole_blocks else (N, OH, OW, G, OC)

    def staged(data, data_zero_point, n, h, w, g, c):
        """The input at a padded position: the caller's element, or the zero point outside."""
        element = as_operand(data[n, h - top, w - left, g, c], data_dtype, dot)
        inside = []
        if any(workload.padding):
            inside += [h >= top, h < top + H, w >= left, w < left + W]
        if C % QUAD:
            inside.append(c < C)
        return T.if_then_else(tirx.all(*inside), element, T.cast(data_zero_point[0], operand)) if inside else element

    def addend(residual, addition, n, h, w, g, b, lane):
        if not workload.residual:
            return None
        if whole_blocks:
            return residual_addend(residual[n, h, w, g, b, lane], addition)
        return residual_addend(residual[n, h, w, g, tirx.min(b * LANES + lane, OC - 1)], addition)

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer((N, H, W, G, C), data_dtype, align=1),
        weight: T.Buffer((G, BLOCKS, KH, KW, QUADS, LANES, QUAD), dot.weight_dtype),
        bias: T.Buffer((G, BLOCKS, LANES), "int32"),
        scale: T.Buffer((G, BLOCKS, LANES), "float32"),
        data_zero_point: T.Buffer((1,), "int32"),
        output: T.Buffer((3,), "int32"),
        addition: T.Buffer((2,), "float32"),
        residual: T.Buffer(added_shape(workload, out_shape), workload.residual_dtype, align=1),
        out: T.Buffer(out_shape, out_dtype, align=1),
    ):
        T.func_attr({"tirx.noalias": True})
        source = T.sblock_alloc_buffer((N, PH, PW, G, QUADS * QUAD), operand)
        total = T.sblock_alloc_buffer((N, G, OH, OW, BLOCKS, LANES), "int32", scope="local")
        for n, g, h, w, c in T.grid(N, G, PH, PW, QUADS * QUAD):
            with T.sblock("stage"):
                vn, vg, vh, vw, vc = T.axis.remap("SSSSS", [n, g, h, w, c])
                source[vn, vh, vw, vg, vc] = staged(data, data_zero_point, vn, vh, vw, vg, vc)
        for n, g, h, w, b, lane, kh, kw, q, i in T.grid(N, G, OH, OW, BLOCKS, LANES, KH, KW, QUADS, QUAD):
            with T.sblock("conv"):
                vn, vg, vh, vw, vb, vl, vkh, vkw, vq, vi = T.axis.remap(
                    "SSSSSSRRRR", [n, g, h, w, b, lane, kh, kw, q, i]
                )
                # Without the bias: an update block that reads more than the instruction does cannot be tensorized.
                T.reads(
                    source[vn, vh * SH + vkh * DH, vw * SW + vkw * DW, vg, vq * QUAD + vi],
                    weight[vg, vb, vkh, vkw, vq, vl, vi],
                )
                T.writes(total[vn, vg, vh, vw, vb, vl])
                with T.init():
                    total[vn, vg, vh, vw, vb, vl] = bias[vg, vb, vl]
                total[vn, vg, vh, vw, vb, vl] = total[vn, vg, vh, vw, vb, vl] + T.cast(
                    source[vn, vh * SH + vkh * DH, vw * SW + vkw * DW, vg, vq * QUAD + vi], "int32"
                ) * T.cast(weight[vg, vb, vkh, vkw, vq, vl, vi], "int32")
        if whole_blocks:
            for n, g, h, w, b, lane in T.grid(N, G, OH, OW, BLOCKS, LANES):
                with T.sblock("requantise"):
                    vn, vg, vh, vw, vb, vl = T.axis.remap("SSSSSS", [n, g, h, w, b, lane])
                    out[vn, vh, vw, vg, vb, vl] = requantise(
                        workload,
                        total[vn, vg, vh, vw, vb, vl],
                        scale[vg, vb, vl],
                        output,
                        addend(residual, addition, vn, vh, vw, vg, vb, vl),
                    )
        else:
            result = T.sblock_alloc_buffer((N, G, OH, OW, BLOCKS, LANES), out_dtype, scope="local")
            for n, g, h, w, b, lane in T.grid(N, G, OH, OW, BLOCKS, LANES):
                with T.sblock("requantise"):
                    vn, vg, vh, vw, vb, vl = T.axis.remap("SSSSSS", [n, g, h, w, b, lane])
                    result[vn, vg, vh, vw, vb, vl] = requantise(
                        workload,
                        total[vn, vg, vh, vw, vb, vl],
                        scale[vg, vb, vl],
                        output,
                        addend(residual, addition, vn, vh, vw, vg, vb, vl),
                    )
            for n, g, h, w, c in T.grid(N, G, OH, OW, OC):
                with T.sblock("store"):
                    vn, vg, vh, vw, vc = T.axis.remap("SSSSS", [n, g, h, w, c])
                    out[vn, vh, vw, vg, vc] = result[vn, vg, vh, vw, vc // LANES, vc % LANES]

    return main
