# mypy: ignore-errors
"""Few output channels for each input channel: each lane of the instruction has data of its own.

A dot-product instruction sums four products a lane. The input is staged as `quads`, the four bytes of each lane side
by side. With several input channels a group, a quad is four channels of the lane's group. With one (depthwise, and
its multipliers) it is four neighbouring pixels: a kernel row of three has three taps, and four pixels in a row serve
two outputs, with taps (w0 w1 w2 0) and (0 w0 w1 w2).
"""

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.dense.definition import as_operand
from tilewright_kernels.conv2d.epilogue import added_shape, requantise, residual_addend
from tilewright_kernels.conv2d.grouped.choices import LaneShape, loads_vectors, stores_vectors
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.vectors import interleaved, spread
from tilewright_kernels.layouts.activations import (
    Planes,
    arranged,
    enter,
    leave,
    place_in,
    planes_of_data,
    vector_of,
    whole,
)


def lanewise(workload: Workload, dot: Dot):
    """data and out in the workload's layout; weight (channel block, output of a group, kernel height, kernel column,
    quad, lane, 4).

    Blocks: `interleave` (the quads, the zero point outside the image, int8 shifted to uint8), `conv`, `requantise`. In
    NCHW also `import_data`, `import_residual` and `export`.
    """
    shape, layout = LaneShape.of(workload, dot), workload.layout
    N, H, W, C = workload.in_nhwc.input_shape
    _, OH, OW, OC = workload.in_nhwc.output_shape
    KH, SH, DH = workload.kernel_size[0], workload.stride[0], workload.dilation[0]
    KW, SG, DW, COLUMNS = shape.kernel_columns, shape.step, shape.dilation, shape.columns
    top, left, bottom, _ = workload.padding
    PH = top + H + bottom
    QUAD, operand = dot.products, dot.data_dtype
    LANES, BLOCKS, BYTES = dot.lanes, shape.blocks, dot.macs
    OUTPUTS, QUADS, GROUPS, PIXELS = shape.outputs, shape.quads, shape.groups, shape.pixel_step
    GROUP_IN, GROUP_OUT = C // workload.groups, OC // workload.groups
    holds_taps = GROUP_IN == 1
    data_dtype, out_dtype = workload.data_dtype, workload.out_dtype
    whole_blocks, is_nchw = stores_vectors(workload, dot), layout == "NCHW"
    data_planes = planes_of_data(workload)
    planes = Planes(N, 1, OC, OH, OW, out_dtype, LANES)
    data_shape = data_planes.shape if is_nchw else workload.input_shape
    out_shape = planes.shape if is_nchw else workload.output_shape
    if layout == "NHWC" and whole_blocks:
        out_shape = (N, OH, OW, BLOCKS, LANES)

    def data_place(n, h, w, c):
        return place_in(layout, data_planes, n, h, w, c)

    def out_place(n, h, w, b, lane):
        """Of a lane of a whole block."""
        if is_nchw:
            return planes.place(n, 0, h, w, b, lane)
        return (n, h, w, b, lane) if layout == "NHWC" else arranged(layout, n, h, w, b * LANES + lane)

    last_pixel = (COLUMNS - 1) * PIXELS + (QUADS * QUAD if holds_taps else 1)

    def or_outside(h, w, value, outside):
        inside = []
        if top or bottom:
            inside += [h >= top, h < top + H]
        if left or last_pixel > W:
            inside += [w >= left, w < left + W]
        return T.if_then_else(tirx.all(*inside), value, outside) if inside else value

    def load(data, data_zero_point, n, h, w, channel, size):
        """`size` channels of one padded pixel, unsigned."""
        vector = vector_of(layout, data, data_place(n, h - top, w - left, channel), size)
        if data_dtype == "int8":
            vector = T.reinterpret(vector, dtype=f"uint8x{size}") + T.broadcast(T.uint8(128), size)
        return or_outside(h, w, vector, T.broadcast(T.cast(data_zero_point[0], "uint8"), size))

    def quad_vector(data, data_zero_point, n, h, column, q, block):
        """The quads of one block of lanes."""
        if holds_taps:
            first = column * PIXELS + q * QUAD
            pixels = [load(data, data_zero_point, n, h, first + tap, block * LANES, LANES) for tap in range(QUAD)]
            return interleaved(dot.vectors, pixels)
        size = LANES // GROUP_OUT * GROUP_IN
        groups = load(data, data_zero_point, n, h, column, block * size, size)
        return spread(dot.vectors.permute, groups, [lane // GROUP_OUT * (GROUP_IN // QUAD) for lane in range(LANES)], q)

    def quad_byte(data, data_zero_point, n, h, column, q, lane, byte):
        """One byte of a quad, for any channels; lanes and bytes without a channel have weights of zero."""
        group = tirx.min(lane // GROUP_OUT, workload.groups - 1)
        channel = group if holds_taps else group * GROUP_IN + tirx.min(q * QUAD + byte, GROUP_IN - 1)
        w = column * PIXELS + q * QUAD + byte if holds_taps else column
        value = as_operand(data.vload(data_place(n, h - top, w - left, channel)), data_dtype, dot)
        return or_outside(h, w, value, T.cast(data_zero_point[0], operand))

    def addend(residual, addition, place):
        return residual_addend(residual.vload(place), addition) if workload.residual else None

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer(data_shape, data_dtype, align=1),
        weight: T.Buffer((BLOCKS, OUTPUTS, KH, KW, QUADS, LANES, QUAD), dot.weight_dtype),
        bias: T.Buffer((1, BLOCKS, LANES), "int32"),
        scale: T.Buffer((1, BLOCKS, LANES), "float32"),
        data_zero_point: T.Buffer((1,), "int32"),
        output: T.Buffer((3,), "int32"),
        addition: T.Buffer((2,), "float32"),
        residual: T.Buffer(added_shape(workload, out_shape), workload.residual_dtype, align=1),
        out: T.Buffer(out_shape, out_dtype, align=1),
    ):
        T.func_attr({"tirx.noalias": True})
        quads = T.sblock_alloc_buffer((N, PH, COLUMNS, QUADS, BLOCKS * BYTES), operand)
        total = T.sblock_alloc_buffer((N, OH, GROUPS, OUTPUTS, BLOCKS, LANES), "int32", scope="local")
        if is_nchw:
            pixels = T.sblock_alloc_buffer(data_planes.buffer_shape, data_dtype)
            result = T.sblock_alloc_buffer(planes.buffer_shape, out_dtype)
            enter(data_planes, data, pixels)
        if is_nchw and workload.residual:
            added = T.sblock_alloc_buffer(planes.buffer_shape, workload.residual_dtype)
            enter(planes, residual, added, "import_residual")
        if loads_vectors(workload, dot):
            for n, h, w, q, b in T.grid(N, PH, COLUMNS, QUADS, BLOCKS):
                with T.sblock("interleave"):
                    vn, vh, vw, vq, vb = T.axis.remap("SSSSS", [n, h, w, q, b])
                    T.reads(whole(pixels if is_nchw else data), data_zero_point[0])
                    T.writes(quads[vn, vh, vw, vq, vb * BYTES : vb * BYTES + BYTES])
                    quads[vn, vh, vw, vq, T.ramp(vb * BYTES, 1, BYTES)] = quad_vector(
                        pixels if is_nchw else data, data_zero_point, vn, vh, vw, vq, vb
                    )
        else:
            for n, h, w, q, y in T.grid(N, PH, COLUMNS, QUADS, BLOCKS * BYTES):
                with T.sblock("interleave"):
                    vn, vh, vw, vq, vy = T.axis.remap("SSSSS", [n, h, w, q, y])
                    quads[vn, vh, vw, vq, vy] = quad_byte(
                        pixels if is_nchw else data, data_zero_point, vn, vh, vw, vq, vy // QUAD, vy % QUAD
                    )
        for n, h, g, o, b, lane, kh, kw, q, i in T.grid(N, OH, GROUPS, OUTPUTS, BLOCKS, LANES, KH, KW, QUADS, QUAD):
            with T.sblock("conv"):
                vn, vh, vg, vo, vb, vl, vkh, vkw, vq, vi = T.axis.remap(
                    "SSSSSSRRRR", [n, h, g, o, b, lane, kh, kw, q, i]
                )
                T.reads(
                    quads[vn, vh * SH + vkh * DH, vg * SG + vkw * DW, vq, vb * BYTES + vl * QUAD + vi],
                    weight[vb, vo, vkh, vkw, vq, vl, vi],
                )
                T.writes(total[vn, vh, vg, vo, vb, vl])
                with T.init():
                    total[vn, vh, vg, vo, vb, vl] = bias[0, vb, vl]
                total[vn, vh, vg, vo, vb, vl] = total[vn, vh, vg, vo, vb, vl] + T.cast(
                    quads[vn, vh * SH + vkh * DH, vg * SG + vkw * DW, vq, vb * BYTES + vl * QUAD + vi], "int32"
                ) * T.cast(weight[vb, vo, vkh, vkw, vq, vl, vi], "int32")
        if whole_blocks:
            for n, h, w, b, lane in T.grid(N, OH, OW, BLOCKS, LANES):
                with T.sblock("requantise"):
                    vn, vh, vw, vb, vl = T.axis.remap("SSSSS", [n, h, w, b, lane])
                    T.buffer_store(
                        result if is_nchw else out,
                        requantise(
                            workload,
                            total[vn, vh, vw // OUTPUTS, vw % OUTPUTS, vb, vl],
                            scale[0, vb, vl],
                            output,
                            addend(
                                added if is_nchw and workload.residual else residual,
                                addition,
                                out_place(vn, vh, vw, vb, vl),
                            ),
                        ),
                        out_place(vn, vh, vw, vb, vl),
                    )
            if is_nchw:
                leave(planes, result, out)
        else:
            for n, h, w, c in T.grid(N, OH, OW, OC):
                with T.sblock("requantise"):
                    vn, vh, vw, vc = T.axis.remap("SSSS", [n, h, w, c])
                    out[vn, vh, vw, vc] = requantise(
                        workload,
                        total[vn, vh, vw // OUTPUTS, vw % OUTPUTS, vc // LANES, vc % LANES],
                        scale[0, vc // LANES, vc % LANES],
                        output,
                        addend(added if is_nchw and workload.residual else residual, addition, [vn, vh, vw, vc]),
                    )

    return main
