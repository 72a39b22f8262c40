"""A convolution of few input channels (im2row): the taps of a kernel row are one run of bytes, so they share k_groups.

In NHWC three channels fill three quarters of four; seven taps of three channels are 21 bytes and fill 6 k_groups, not
7, and the input needs no spreading from three channels to four. In NCHW the run is a row of one plane: seven taps
fill 2 k_groups for each channel, and nothing has to be transposed.
"""

from typing import Any

from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.few_channels.choices import RowShape
from tilewright_kernels.conv2d.signature import Arguments, Signature, prim_func
from tilewright_kernels.conv2d.tiles import finish, multiply
from tilewright_kernels.conv2d.tiling import TiledLoops
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.operands import as_operand
from tilewright_kernels.layouts.table import whole_results
from tilewright_kernels.tir import Buffer, Expr, all_of, allocate, inline


def few_channels(workload: Workload, dot: Dot, loops: TiledLoops) -> Any:
    """data (image, plane, row, elements of a row); weight (channel block, kernel height, plane, k_group of row bytes,
    lane, product); out in the workload's layout. Dilation of the width is 1.

    Blocks: `stage`, `conv`, `requantise`, and `store` where the output channels do not fill whole blocks; those of the
    layout.
    """
    row, results = RowShape.of(workload, dot), whole_results(workload, dot.lanes)
    (SH, SW), (DH, _) = workload.stride, workload.dilation
    kernel = workload.kernel_size[0], row.planes
    data_shape = workload.batch, row.planes, workload.height, workload.width * row.channels
    weight_shape = loops.channel_blocks, *kernel, loops.k_groups, dot.lanes, dot.products

    def emit(given: Arguments) -> None:
        source = stage(workload, row, dot, given)

        def data(n: Expr, h: Expr, w: Expr, _: Expr, kh: Expr, plane: Expr, q: Expr, i: Expr) -> Expr:
            first = row.window + w * (SW * row.channels)
            return source[n, h * SH + kh * DH, plane, first + q * dot.products + i]

        def weight(_: Expr, *index: Expr) -> Expr:
            return given.weight[index]

        total = multiply(loops, kernel, dot, data, weight, given.bias)
        finish(workload, loops, dot, results, total, given)

    channels = 1, loops.channel_blocks, dot.lanes
    return prim_func(
        Signature(workload, data_shape, weight_shape, dot.weight_dtype, channels, results.array_shape), emit
    )


def stage(workload: Workload, row: RowShape, dot: Dot, given: Arguments) -> Buffer:
    """Block `stage`: (image, padded row, plane, elements of a padded row)."""
    top, _, bottom, _ = workload.padding
    shape = workload.batch, top + workload.height + bottom, row.planes, row.length
    source = allocate("source", shape, dot.data_dtype)

    def element(n: Expr, h: Expr, plane: Expr, b: Expr) -> Expr:
        # Of whole vectors, so that one branch decides for all lanes of a copy.
        vector, data_end = b // row.vector, row.first + workload.width * row.channels
        inside = [vector >= row.first // row.vector, vector < data_end // row.vector]
        if top or bottom:
            inside += [h >= top, h < top + workload.height]
        value = as_operand(given.data[n, plane, h - top, b - row.first], workload.data_dtype, dot)
        return all_of(inside, value, T.cast(given.data_zero_point[0], dot.data_dtype))

    @inline
    def block() -> None:
        for n, h, plane, b in T.grid(*shape):
            with T.sblock("stage"):
                vn, vh, vp, vb = T.axis.remap("SSSS", [n, h, plane, b])
                source[vn, vh, vp, vb] = element(vn, vh, vp, vb)

    block()
    return source
