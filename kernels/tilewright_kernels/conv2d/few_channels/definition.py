# mypy: ignore-errors
"""A convolution of few input channels: the taps of a kernel row are one run of bytes, so they share quads.

In NHWC three channels fill three quarters of a quad; seven taps of three channels are 21 bytes and fill 6 quads, not
7, and the input needs no spreading from three channels to four. In NCHW the run is a row of one plane: seven taps
fill 2 quads for each channel, and nothing has to be turned.
"""

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import stores_blocks
from tilewright_kernels.conv2d.dense.definition import as_operand
from tilewright_kernels.conv2d.epilogue import added_shape, requantise, residual_addend
from tilewright_kernels.conv2d.few_channels.choices import RowShape
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.activations import Planes, enter, leave


def planes_of(workload: Workload, dot: Dot) -> Planes:
    """Results in NCHW."""
    batch, height, width, channels = workload.in_nhwc.output_shape
    return Planes(batch, 1, channels, height, width, workload.out_dtype, dot.lanes)


def rows(workload: Workload, dot: Dot):
    """data and out NHWC or NCHW, weight (channel block, kernel height, plane, quad of row bytes, lane, 4).

    Dilation of the width is 1.
    """
    row = RowShape.of(workload, dot)
    N, H, W, _ = workload.in_nhwc.input_shape
    _, OH, OW, OC = workload.in_nhwc.output_shape
    PLANES, C = row.planes, row.channels
    KH, (SH, SW), DH = workload.kernel_size[0], workload.stride, workload.dilation[0]
    top, _, bottom, _ = workload.padding
    PH, STEP = top + H + bottom, SW * C
    FIRST, WINDOW, LENGTH, QUADS = row.first, row.window, row.length, row.quads
    LANES, BLOCKS, QUAD, operand = dot.lanes, -(-OC // dot.lanes), dot.products, dot.data_dtype
    data_dtype, out_dtype = workload.data_dtype, workload.out_dtype
    whole_blocks, is_nchw = stores_blocks(workload, dot), workload.layout == "NCHW"
    out_shape = (N, OH, OW, BLOCKS, LANES) if whole_blocks else (N, OH, OW, OC)
    planes = planes_of(workload, dot)
    if is_nchw:
        out_shape = planes.shape

    def place(n, h, w, b, lane):
        """Of a lane of a whole block, as results are stored and residuals read."""
        return planes.place(n, 0, h, w, b, lane) if is_nchw else (n, h, w, b, lane)

    def staged(data, data_zero_point, n, plane, h, b):
        # Of whole vectors, so that one branch decides for all lanes of a copy.
        inside = [b // row.vector >= FIRST // row.vector, b // row.vector < (FIRST + W * C) // row.vector]
        if top or bottom:
            inside += [h >= top, h < top + H]
        element = as_operand(data[n, plane, h - top, b - FIRST], data_dtype, dot)
        return T.if_then_else(tirx.all(*inside), element, T.cast(data_zero_point[0], operand))

    def addend(residual, addition, n, h, w, b, lane):
        if not workload.residual:
            return None
        if whole_blocks:
            return residual_addend(residual.vload(place(n, h, w, b, lane)), addition)
        return residual_addend(residual[n, h, w, tirx.min(b * LANES + lane, OC - 1)], addition)

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer((N, PLANES, H, W * C), data_dtype, align=1),
        weight: T.Buffer((BLOCKS, KH, PLANES, QUADS, LANES, QUAD), dot.weight_dtype),
        bias: T.Buffer((1, BLOCKS, LANES), "int32"),
        scale: T.Buffer((1, BLOCKS, LANES), "float32"),
        data_zero_point: T.Buffer((1,), "int32"),
        output: T.Buffer((3,), "int32"),
        addition: T.Buffer((2,), "float32"),
        residual: T.Buffer(added_shape(workload, out_shape), workload.residual_dtype, align=1),
        out: T.Buffer(out_shape, out_dtype, align=1),
    ):
        T.func_attr({"tirx.noalias": True})
        source = T.sblock_alloc_buffer((N, PH, PLANES, LENGTH), operand)
        total = T.sblock_alloc_buffer((N, OH, OW, BLOCKS, LANES), "int32", scope="local")
        if is_nchw:
            for n, h, plane, b in T.grid(N, PH, PLANES, LENGTH):
                with T.sblock("stage"):
                    vn, vh, vp, vb = T.axis.remap("SSSS", [n, h, plane, b])
                    source[vn, vh, vp, vb] = staged(data, data_zero_point, vn, vp, vh, vb)
        else:
            for n, h, b in T.grid(N, PH, LENGTH):
                with T.sblock("stage"):
                    vn, vh, vb = T.axis.remap("SSS", [n, h, b])
                    source[vn, vh, 0, vb] = staged(data, data_zero_point, vn, 0, vh, vb)
        if is_nchw and workload.residual:
            added = T.sblock_alloc_buffer(planes.buffer_shape, workload.residual_dtype)
            enter(planes, residual, added, "import_residual")
        # `split` stands where dense has several sums an output: one space schedules both.
        for n, h, w, split, b, lane, kh, plane, q, i in T.grid(N, OH, OW, 1, BLOCKS, LANES, KH, PLANES, QUADS, QUAD):
            with T.sblock("conv"):
                vn, vh, vw, _, vb, vl, vkh, vp, vq, vi = T.axis.remap(
                    "SSSSSSRRRR", [n, h, w, split, b, lane, kh, plane, q, i]
                )
                T.reads(
                    source[vn, vh * SH + vkh * DH, vp, WINDOW + vw * STEP + vq * QUAD + vi],
                    weight[vb, vkh, vp, vq, vl, vi],
                )
                T.writes(total[vn, vh, vw, vb, vl])
                with T.init():
                    total[vn, vh, vw, vb, vl] = bias[0, vb, vl]
                total[vn, vh, vw, vb, vl] = total[vn, vh, vw, vb, vl] + T.cast(
                    source[vn, vh * SH + vkh * DH, vp, WINDOW + vw * STEP + vq * QUAD + vi], "int32"
                ) * T.cast(weight[vb, vkh, vp, vq, vl, vi], "int32")
        if whole_blocks:
            if is_nchw:
                result = T.sblock_alloc_buffer(planes.buffer_shape, out_dtype)
            for n, g, h, w, b, lane in T.grid(N, 1, OH, OW, BLOCKS, LANES):
                with T.sblock("requantise"):
                    vn, _, vh, vw, vb, vl = T.axis.remap("SSSSSS", [n, g, h, w, b, lane])
                    T.buffer_store(
                        result if is_nchw else out,
                        requantise(
                            workload,
                            total[vn, vh, vw, vb, vl],
                            scale[0, vb, vl],
                            output,
                            addend(added if is_nchw and workload.residual else residual, addition, vn, vh, vw, vb, vl),
                        ),
                        place(vn, vh, vw, vb, vl),
                    )
            if is_nchw:
                leave(planes, result, out)
        else:
            result = T.sblock_alloc_buffer((N, OH, OW, BLOCKS, LANES), out_dtype, scope="local")
            for n, g, h, w, b, lane in T.grid(N, 1, OH, OW, BLOCKS, LANES):
                with T.sblock("requantise"):
                    vn, _, vh, vw, vb, vl = T.axis.remap("SSSSSS", [n, g, h, w, b, lane])
                    result[vn, vh, vw, vb, vl] = requantise(
                        workload,
                        total[vn, vh, vw, vb, vl],
                        scale[0, vb, vl],
                        output,
                        addend(added if is_nchw and workload.residual else residual, addition, vn, vh, vw, vb, vl),
                    )
            for n, g, h, w, c in T.grid(N, 1, OH, OW, OC):
                with T.sblock("store"):
                    vn, _, vh, vw, vc = T.axis.remap("SSSSS", [n, g, h, w, c])
                    out[vn, vh, vw, vc] = result[vn, vh, vw, vc // LANES, vc % LANES]

    return main
