# mypy: ignore-errors
"""A convolution over all channels (groups = 1), laid out for a four-way dot-product instruction."""

from dataclasses import dataclass

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.definitions.epilogue import requantise

QUAD = 4
"""Products that the instruction sums for each lane."""


@dataclass(frozen=True)
class DenseShape:
    """The loops of the kernel. A 1x1 convolution without stride or padding is one long row of pixels."""

    batch: int
    height: int
    width: int
    out_height: int
    out_width: int
    channel_quads: int
    channel_blocks: int
    lanes: int

    @classmethod
    def of(cls, workload: Workload, lanes: int) -> "DenseShape":
        quads, blocks = -(-workload.in_channels // QUAD), -(-workload.out_channels // lanes)
        batch, height, width = workload.batch, workload.height, workload.width
        if is_pointwise(workload):
            pixels = batch * height * width
            return cls(1, 1, pixels, 1, pixels, quads, blocks, lanes)
        return cls(batch, height, width, workload.out_height, workload.out_width, quads, blocks, lanes)


def is_pointwise(workload: Workload) -> bool:
    """Whether every output pixel reads exactly the input pixel at its own place."""
    return workload.kernel_size == (1, 1) and workload.stride == (1, 1) and not any(workload.padding)


def reads_data_directly(workload: Workload) -> bool:
    """Whether the instruction can read the caller's array: nothing to pad, to widen or to shift."""
    return not any(workload.padding) and workload.in_channels % QUAD == 0 and workload.data_dtype == "uint8"


def fills_blocks(workload: Workload, lanes: int) -> bool:
    """Whether the output channels fill whole vectors, so that results are stored straight from the registers."""
    return workload.out_channels % lanes == 0


def dense(workload: Workload, lanes: int):
    """data NHWC, weight (channel block, kernel height, kernel width, channel quad, lane, 4), out NHWC.

    Blocks: `stage` (padding, a multiple of four channels, int8 shifted to uint8), `conv`, `requantise`, and `store`
    where the output channels do not fill whole blocks.
    """
    shape = DenseShape.of(workload, lanes)
    N, H, W, C = shape.batch, shape.height, shape.width, workload.in_channels
    OH, OW, OC = shape.out_height, shape.out_width, workload.out_channels
    (KH, KW), (SH, SW), (DH, DW) = workload.kernel_size, workload.stride, workload.dilation
    top, left, bottom, right = workload.padding
    PH, PW = top + H + bottom, left + W + right
    QUADS, BLOCKS, LANES = shape.channel_quads, shape.channel_blocks, shape.lanes
    data_dtype, out_dtype = workload.data_dtype, workload.out_dtype
    whole_blocks = fills_blocks(workload, LANES)
    out_shape = (N, OH, OW, BLOCKS, LANES) if whole_blocks else (N, OH, OW, OC)

    def staged(data, data_zero_point, n, h, w, c):
        """The input at a padded position: the caller's element, or the zero point outside."""
        element = data[n, h - top, w - left, c]
        if data_dtype == "int8":
            # vpdpbusd multiplies unsigned by signed: int8 data moves up by 128, and the bias takes it back.
            element = T.cast(T.cast(element, "int32") + 128, "uint8")
        inside = []
        if any(workload.padding):
            inside += [h >= top, h < top + H, w >= left, w < left + W]
        if C % QUAD:
            inside.append(c < C)
        return T.if_then_else(tirx.all(*inside), element, T.cast(data_zero_point[0], "uint8")) if inside else element

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer((N, H, W, C), data_dtype, align=1),
        weight: T.Buffer((BLOCKS, KH, KW, QUADS, LANES, QUAD), "int8"),
        bias: T.Buffer((BLOCKS, LANES), "int32"),
        scale: T.Buffer((BLOCKS, LANES), "float32"),
        data_zero_point: T.Buffer((1,), "int32"),
        output: T.Buffer((3,), "int32"),
        out: T.Buffer(out_shape, out_dtype, align=1),
    ):
        T.func_attr({"tirx.noalias": True})
        source = T.sblock_alloc_buffer((N, PH, PW, QUADS * QUAD), "uint8")
        total = T.sblock_alloc_buffer((N, OH, OW, BLOCKS, LANES), "int32", scope="local")
        for n, h, w, c in T.grid(N, PH, PW, QUADS * QUAD):
            with T.sblock("stage"):
                vn, vh, vw, vc = T.axis.remap("SSSS", [n, h, w, c])
                source[vn, vh, vw, vc] = staged(data, data_zero_point, vn, vh, vw, vc)
        for n, h, w, b, lane, kh, kw, q, i in T.grid(N, OH, OW, BLOCKS, LANES, KH, KW, QUADS, QUAD):
            with T.sblock("conv"):
                vn, vh, vw, vb, vl, vkh, vkw, vq, vi = T.axis.remap("SSSSSRRRR", [n, h, w, b, lane, kh, kw, q, i])
                # Without the bias: an update block that reads more than the instruction does cannot be tensorized.
                T.reads(
                    source[vn, vh * SH + vkh * DH, vw * SW + vkw * DW, vq * QUAD + vi],
                    weight[vb, vkh, vkw, vq, vl, vi],
                )
                T.writes(total[vn, vh, vw, vb, vl])
                with T.init():
                    total[vn, vh, vw, vb, vl] = bias[vb, vl]
                total[vn, vh, vw, vb, vl] = total[vn, vh, vw, vb, vl] + T.cast(
                    source[vn, vh * SH + vkh * DH, vw * SW + vkw * DW, vq * QUAD + vi], "int32"
                ) * T.cast(weight[vb, vkh, vkw, vq, vl, vi], "int32")
        if whole_blocks:
            for n, h, w, b, lane in T.grid(N, OH, OW, BLOCKS, LANES):
                with T.sblock("requantise"):
                    vn, vh, vw, vb, vl = T.axis.remap("SSSSS", [n, h, w, b, lane])
                    out[vn, vh, vw, vb, vl] = requantise(workload, total[vn, vh, vw, vb, vl], scale[vb, vl], output)
        else:
            result = T.sblock_alloc_buffer((N, OH, OW, BLOCKS, LANES), out_dtype, scope="local")
            for n, h, w, b, lane in T.grid(N, OH, OW, BLOCKS, LANES):
                with T.sblock("requantise"):
                    vn, vh, vw, vb, vl = T.axis.remap("SSSSS", [n, h, w, b, lane])
                    result[vn, vh, vw, vb, vl] = requantise(workload, total[vn, vh, vw, vb, vl], scale[vb, vl], output)
            for n, h, w, c in T.grid(N, OH, OW, OC):
                with T.sblock("store"):
                    vn, vh, vw, vc = T.axis.remap("SSSS", [n, h, w, c])
                    out[vn, vh, vw, vc] = result[vn, vh, vw, vc // LANES, vc % LANES]

    return main
