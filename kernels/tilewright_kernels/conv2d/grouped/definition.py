"""Few output channels for each input channel: each lane of the instruction has data of its own.

A dot-product instruction sums four products a lane. The input is staged as `k_groups`, the four bytes of each lane side
by side. With several input channels a group, a k_group is four channels of the lane's group. With one (depthwise, and
its multipliers) it is four neighbouring pixels: a kernel row of three has three taps, and four pixels in a row serve
two outputs, with taps (w0 w1 w2 0) and (0 w0 w1 w2).
"""

from typing import Any

from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.epilogue import Epilogue
from tilewright_kernels.conv2d.grouped.k_groups import KGroups
from tilewright_kernels.conv2d.grouped.tiling import LaneShape, stores_vectors
from tilewright_kernels.conv2d.signature import Arguments, Signature, prim_func
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.layouts.table import whole_data, whole_results
from tilewright_kernels.layouts.traits import IMPORT_DATA
from tilewright_kernels.tir import Buffer, Expr, accumulate, allocate, inline


def grouped(workload: Workload, dot: Dot) -> Any:
    """data and out in the workload's layout; weight (channel block, output of a group, kernel height, kernel column,
    k_group, lane, product).

    Blocks: `interleave` (the k_groups, with the padding), `conv`, `requantise`; those of the layout.
    """
    shape = LaneShape.of(workload, dot)
    k_groups, results = KGroups(workload, dot, shape, whole_data(workload)), whole_results(workload, dot.lanes)

    def emit(given: Arguments) -> None:
        data = k_groups.data.imported(given.data, IMPORT_DATA)
        source = k_groups.interleave(data, given.data_zero_point)
        total = multiply(workload, dot, shape, source, given.weight, given.bias)
        epilogue = Epilogue(workload, results, given)
        finish = requantise_blocks if stores_vectors(workload, dot) else requantise_channels
        finish(shape, results, epilogue, total, given.scale)
        epilogue.finish()

    kernel = workload.kernel_size[0], shape.kernel_columns
    weight_shape = shape.blocks, shape.outputs, *kernel, shape.k_groups, dot.lanes, dot.products
    channels = 1, shape.blocks, dot.lanes
    shapes = k_groups.data.array_shape, weight_shape, dot.weight_dtype, channels, results.array_shape
    return prim_func(Signature(workload, *shapes), emit)


def multiply(workload: Workload, dot: Dot, shape: LaneShape, k_groups: Buffer, weight: Buffer, bias: Buffer) -> Buffer:
    """Block `conv`: (image, row, group of outputs, output, block, lane)."""
    KH, SH, DH = workload.kernel_size[0], workload.stride[0], workload.dilation[0]
    KW, SG, DW = shape.kernel_columns, shape.step, shape.dilation
    sums = workload.batch, workload.out_height, shape.groups, shape.outputs, shape.blocks, dot.lanes
    total = allocate("total", sums, "int32", scope="local")

    @inline
    def block() -> None:
        for n, h, g, o, b, lane, kh, kw, q, i in T.grid(*sums, KH, KW, shape.k_groups, dot.products):
            with T.sblock("conv"):
                vn, vh, vg, vo, vb, vl, vkh, vkw, vq, vi = T.axis.remap(
                    "SSSSSSRRRR", [n, h, g, o, b, lane, kh, kw, q, i]
                )
                accumulate(
                    total[vn, vh, vg, vo, vb, vl],
                    bias[0, vb, vl],
                    k_groups[vn, vh * SH + vkh * DH, vg * SG + vkw * DW, vq, vb * dot.macs + vl * dot.products + vi],
                    weight[vb, vo, vkh, vkw, vq, vl, vi],
                )

    block()
    return total


def requantise_blocks(shape: LaneShape, results: Activations, epilogue: Epilogue, total: Buffer, scale: Buffer) -> None:
    """Block `requantise`, in whole vectors of channels."""

    def result(n: Expr, h: Expr, w: Expr, b: Expr, lane: Expr) -> Expr:
        value = total[n, h, w // shape.outputs, w % shape.outputs, b, lane]
        return epilogue.element(value, scale[0, b, lane], results.block(n, h, w, 0, b, lane))

    @inline
    def block() -> None:
        for n, h, w, b, lane in T.grid(results.batch, results.height, results.width, results.blocks, results.lanes):
            with T.sblock("requantise"):
                vn, vh, vw, vb, vl = T.axis.remap("SSSSS", [n, h, w, b, lane])
                T.buffer_store(epilogue.result, result(vn, vh, vw, vb, vl), results.block(vn, vh, vw, 0, vb, vl))

    block()


def requantise_channels(
    shape: LaneShape, results: Activations, epilogue: Epilogue, total: Buffer, scale: Buffer
) -> None:
    """Block `requantise`, where the channels do not fill vectors."""

    def result(n: Expr, h: Expr, w: Expr, c: Expr) -> Expr:
        b, lane = c // results.lanes, c % results.lanes
        value = total[n, h, w // shape.outputs, w % shape.outputs, b, lane]
        return epilogue.element(value, scale[0, b, lane], results.element(n, h, w, 0, c))

    @inline
    def block() -> None:
        for n, h, w, c in T.grid(results.batch, results.height, results.width, results.channels):
            with T.sblock("requantise"):
                vn, vh, vw, vc = T.axis.remap("SSSS", [n, h, w, c])
                T.buffer_store(epilogue.result, result(vn, vh, vw, vc), results.element(vn, vh, vw, 0, vc))

    block()
