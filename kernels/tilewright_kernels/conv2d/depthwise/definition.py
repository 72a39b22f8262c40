# mypy: ignore-errors
"""Depthwise convolutions in whole vectors of channels: pixels are zipped into quads in registers, and never stored.

A vector holds one byte of each of its channels. Four neighbouring pixels A, B, C, D of a row become four vectors of
quads (a b c d of one channel in each lane of 32 bits) by unpacking twice: bytes of A with B and C with D, then pairs
with pairs. Unpacking works inside 128-bit parts, so the channels of the four vectors come out of order:

    vector j, lane l   <->   channel 16 * (l // 4) + 4 * j + l % 4

Weights, bias and scale are packed in that order, and packing the four sums down to bytes, which also works inside
128-bit parts, puts the channels back. Where the channels do not fill vectors, a vector holds several pixels: a row
is cut into `slots` stretches, which are staged and computed side by side.
"""

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import CHANNEL_BLOCK, Workload
from tilewright_kernels.conv2d.depthwise.choices import VECTORS, DepthwiseShape
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.vectors import indices, interleaved_in_segments, narrowed
from tilewright_kernels.layouts.activations import (
    Planes,
    enter,
    leave,
    place_in,
    planes_of_data,
    store_vector,
    vector_of,
    whole,
)


def pieces(channels: int, size: int) -> list[tuple[int, int]]:
    """(first, count) of vectors that cover the first `channels` of `size`, each a power of two."""
    if channels == size:
        return [(0, size)]
    counts = [1 << bit for bit in reversed(range(channels.bit_length())) if channels >> bit & 1]
    return [(channels & ~(2 * count - 1), count) for count in counts]


def depthwise(workload: Workload, dot: Dot):
    """data and out in the workload's layout, weight (block, output of a group, kernel height, quad, vector, lane, 4).

    Blocks: `stage` (the padding, int8 shifted to uint8), `interleave`, `conv`, `requantise`; in NCHW also
    `import_data` and `export`.
    """
    shape = DepthwiseShape.of(workload, dot)
    N, H, W, C = workload.in_nhwc.input_shape
    _, OH, OW, _ = workload.in_nhwc.output_shape
    layout, is_nchw = workload.layout, workload.layout == "NCHW"
    data_planes = planes_of_data(workload)
    planes = Planes(N, 1, C, OH, OW, workload.out_dtype, lanes=CHANNEL_BLOCK, is_flat=True)
    KH, SH, DH = workload.kernel_size[0], workload.stride[0], workload.dilation[0]
    top, left, bottom, _ = workload.padding
    PH, ROW = top + H + bottom, shape.row_bytes
    LANES, BYTES, QUAD = dot.lanes, dot.macs, dot.products
    SLOTS, CHANNELS, BLOCKS, QUADS = shape.slots, shape.channels, shape.blocks, shape.quads
    OUTPUTS, GROUPS = shape.outputs, shape.groups
    ZIPPED = QUADS * VECTORS * BYTES
    data_dtype, out_dtype = workload.data_dtype, workload.out_dtype
    stride = workload.stride[1]
    taps = (OUTPUTS - 1) * stride + (workload.kernel_size[1] - 1) * workload.dilation[1] + 1
    last_channels = pieces(C - (BLOCKS - 1) * CHANNELS, CHANNELS)

    def stage_row(source, data, data_zero_point, n, h):
        """One padded row, every slot with its own stretch of it; bytes without a channel are left as they are."""
        if top or bottom:
            with T.If(tirx.all(h >= top, h < top + H)):
                with T.Then():
                    stage_pixels(source, data, data_zero_point, n, h)
                with T.Else(), T.serial(0, ROW // BYTES) as place:
                    fill(source, data_zero_point, n, h * ROW + place * BYTES)
        else:
            stage_pixels(source, data, data_zero_point, n, h)

    def stage_pixels(source, data, data_zero_point, n, h):
        for slot in range(SLOTS):
            before = left - slot * shape.stretch * stride
            first, last = (min(max(edge, 0), shape.columns) for edge in (before, before + W))
            place = h * ROW + slot * CHANNELS
            for start, end in ((0, first), (last, shape.columns)):
                if end > start:
                    with T.serial(start * BLOCKS, end * BLOCKS) as vector:
                        fill(source, data_zero_point, n, place + vector * BYTES, CHANNELS)
            if last > first:
                copy_pixels(source, data, n, h - top, first - before, place + first * (BLOCKS * BYTES), last - first)

    def copy_pixels(source, data, n, h, w, place, count):
        """`count` pixels of a row from column `w` on."""
        if C == BLOCKS * BYTES:
            with T.serial(0, count * BLOCKS) as vector:
                column, b = w + vector // BLOCKS, vector % BLOCKS
                copy(source, data, n, h, column, b * BYTES, place + vector * BYTES, BYTES)
            return
        with T.serial(0, count) as column:
            for b in range(BLOCKS):
                parts = last_channels if b == BLOCKS - 1 else [(0, CHANNELS)]
                for first, size in parts:
                    target = place + column * (BLOCKS * BYTES) + b * BYTES + first
                    copy(source, data, n, h, w + column, b * CHANNELS + first, target, size)

    def copy(source, data, n, h, w, channel, place, size):
        vector = vector_of(layout, data, place_in(layout, data_planes, n, h, w, channel), size)
        if data_dtype == "int8":
            offset = T.uint8(128) if size == 1 else T.broadcast(T.uint8(128), size)
            vector = T.reinterpret(vector, dtype="uint8" if size == 1 else f"uint8x{size}") + offset
        T.buffer_store(source, vector, [n, indices(place, size)])

    def fill(source, data_zero_point, n, place, size=BYTES):
        T.buffer_store(source, T.broadcast(T.Cast("uint8", data_zero_point[0]), size), [n, indices(place, size)])

    def unread(q):
        """What stands for a column that no tap of quad `q` reads.

        Zipped with itself, the last of three makes LLVM trade each unpacking for two shuffles; with the first it does
        not. One or two columns are better repeated: one shuffle then does the work of two unpackings.
        """
        return q * QUAD if taps - q * QUAD == QUAD - 1 else taps - 1

    def zip_pixels(quads, source, n, h, g, b):
        """Four vectors of quads; columns that no tap reads repeat one that is."""
        start = h * ROW + g * (OUTPUTS * stride * BLOCKS * BYTES) + b * BYTES
        for q in range(QUADS):
            columns = [column if column < taps else unread(q) for column in range(q * QUAD, (q + 1) * QUAD)]
            pixels = [source.vload([n, start + column * (BLOCKS * BYTES)], f"uint8x{BYTES}") for column in columns]
            for vector, value in enumerate(interleaved_in_segments(pixels)):
                T.buffer_store(quads, value, [n, h, g, T.ramp(b * ZIPPED + (q * VECTORS + vector) * BYTES, 1, BYTES)])

    def store(total, scale, output, out, n, h, g, b, o):
        """Requantise the sums of one output and put the channels of its slots where they belong."""
        sums = [
            T.Cast(f"float32x{LANES}", total.vload([n, h, g, b, o, j, 0], f"int32x{LANES}")) for j in range(VECTORS)
        ]
        scales = [scale.vload([b, j, 0], f"float32x{LANES}") for j in range(VECTORS)]
        scaled = [each * factor for each, factor in zip(sums, scales, strict=True)]
        results = narrowed(dot.vectors.narrowing, out_dtype, scaled, output)
        for slot in range(SLOTS):
            column = slot * shape.stretch + g * OUTPUTS + o
            if (slot + 1) * shape.stretch <= OW:
                store_channels(out, results, n, h, column, b, slot)
            else:
                with T.If(column < OW), T.Then():
                    store_channels(out, results, n, h, column, b, slot)

    def store_channels(out, results, n, h, column, b, slot):
        if BLOCKS == 1 or last_channels == [(0, CHANNELS)]:
            store_pieces(out, results, n, h, column, b, slot, last_channels)
            return
        with T.If(b < BLOCKS - 1):
            with T.Then():
                store_pieces(out, results, n, h, column, b, slot, [(0, CHANNELS)])
            with T.Else():
                store_pieces(out, results, n, h, column, b, slot, last_channels)

    def store_pieces(out, results, n, h, column, b, slot, parts):
        for first, size in parts:
            start = slot * CHANNELS + first
            part = results if size == BYTES else tirx.Shuffle([results], list(range(start, start + size)))
            store_vector(layout, out, part, place_in(layout, planes, n, h, column, b * CHANNELS + first), size)

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer(data_planes.shape if is_nchw else workload.input_shape, data_dtype, align=1),
        weight: T.Buffer((BLOCKS, OUTPUTS, KH, QUADS, VECTORS, LANES, QUAD), dot.weight_dtype),
        bias: T.Buffer((BLOCKS, VECTORS, LANES), "int32"),
        scale: T.Buffer((BLOCKS, VECTORS, LANES), "float32"),
        data_zero_point: T.Buffer((1,), "int32"),
        output: T.Buffer((3,), "int32"),
        addition: T.Buffer((2,), "float32"),
        residual: T.Buffer((1,), workload.residual_dtype, align=1),
        out: T.Buffer(planes.shape if is_nchw else workload.output_shape, out_dtype, align=1),
    ):
        T.func_attr({"tirx.noalias": True})
        source = T.sblock_alloc_buffer((N, PH * ROW), "uint8")
        quads = T.sblock_alloc_buffer((N, PH, GROUPS, BLOCKS * ZIPPED), "uint8", scope="local")
        total = T.sblock_alloc_buffer((N, OH, GROUPS, BLOCKS, OUTPUTS, VECTORS, LANES), "int32", scope="local")
        if is_nchw:
            nhwc = T.sblock_alloc_buffer(data_planes.buffer_shape, data_dtype)
            result = T.sblock_alloc_buffer(planes.buffer_shape, out_dtype)
            enter(data_planes, data, nhwc)
        for n, h in T.grid(N, PH):
            with T.sblock("stage"):
                vn, vh = T.axis.remap("SS", [n, h])
                T.reads(whole(nhwc if is_nchw else data), data_zero_point[0])
                T.writes(source[vn, vh * ROW : vh * ROW + ROW])
                stage_row(source, nhwc if is_nchw else data, data_zero_point, vn, vh)
        for n, h, g, b in T.grid(N, PH, GROUPS, BLOCKS):
            with T.sblock("interleave"):
                vn, vh, vg, vb = T.axis.remap("SSSS", [n, h, g, b])
                T.reads(source[vn, vh * ROW : vh * ROW + ROW])
                T.writes(quads[vn, vh, vg, vb * ZIPPED : vb * ZIPPED + ZIPPED])
                zip_pixels(quads, source, vn, vh, vg, vb)
        for n, h, g, b, o, j, lane, kh, q, i in T.grid(N, OH, GROUPS, BLOCKS, OUTPUTS, VECTORS, LANES, KH, QUADS, QUAD):
            with T.sblock("conv"):
                vn, vh, vg, vb, vo, vj, vl, vkh, vq, vi = T.axis.remap("SSSSSSSRRR", [n, h, g, b, o, j, lane, kh, q, i])
                T.reads(
                    quads[vn, vh * SH + vkh * DH, vg, vb * ZIPPED + (vq * VECTORS + vj) * BYTES + vl * QUAD + vi],
                    weight[vb, vo, vkh, vq, vj, vl, vi],
                )
                T.writes(total[vn, vh, vg, vb, vo, vj, vl])
                with T.init():
                    total[vn, vh, vg, vb, vo, vj, vl] = bias[vb, vj, vl]
                total[vn, vh, vg, vb, vo, vj, vl] = total[vn, vh, vg, vb, vo, vj, vl] + T.cast(
                    quads[vn, vh * SH + vkh * DH, vg, vb * ZIPPED + (vq * VECTORS + vj) * BYTES + vl * QUAD + vi],
                    "int32",
                ) * T.cast(weight[vb, vo, vkh, vq, vj, vl, vi], "int32")
        for n, h, g, b, o in T.grid(N, OH, GROUPS, BLOCKS, OUTPUTS):
            with T.sblock("requantise"):
                vn, vh, vg, vb, vo = T.axis.remap("SSSSS", [n, h, g, b, o])
                T.reads(total[vn, vh, vg, vb, vo, 0:VECTORS, 0:LANES], scale[vb, 0:VECTORS, 0:LANES], output[0:3])
                T.writes(out[vn, vh, 0:OW, 0:C] if layout == "NHWC" else whole(result if is_nchw else out))
                store(total, scale, output, result if is_nchw else out, vn, vh, vg, vb, vo)
        if is_nchw:
            leave(planes, result, out)

    return main
