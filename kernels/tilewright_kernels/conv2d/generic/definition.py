"""The convolution as a textbook writes it: any groups, any channels; what MetaSchedule's generic space works on."""

from typing import Any

from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.requantise import requantise, residual_addend
from tilewright_kernels.conv2d.signature import Arguments, Signature, prim_func
from tilewright_kernels.layouts.table import layout_of
from tilewright_kernels.tir import Buffer, Expr, allocate, inline


def plain(workload: Workload) -> Any:
    """data and out in the workload's layout, weight (kernel height, kernel width, group channel, out_channels).

    Blocks: `pad`, `conv`, `requantise`.
    """
    out_channels, group_in, *kernel = workload.weight_shape
    weight_shape = *kernel, group_in, out_channels

    def emit(given: Arguments) -> None:
        source = pad(workload, given.data, given.data_zero_point)
        total = multiply(workload, source, given.weight)
        finish(workload, total, given)

    shapes = workload.input_shape, weight_shape, "int8", (out_channels,), workload.output_shape
    return prim_func(Signature(workload, *shapes), emit)


def pad(workload: Workload, data: Buffer, data_zero_point: Buffer) -> Buffer:
    N, H, W, C = workload.in_nhwc.input_shape
    top, left, bottom, right = workload.padding
    shape = N, top + H + bottom, left + W + right, C
    source, index = allocate("source", shape, workload.data_dtype), layout_of(workload).activations.in_array

    @inline
    def block() -> None:
        for n, h, w, c in T.grid(*shape):
            with T.sblock("pad"):
                vn, vh, vw, vc = T.axis.remap("SSSS", [n, h, w, c])
                source[vn, vh, vw, vc] = T.if_then_else(
                    vh >= top and vh < top + H and vw >= left and vw < left + W,
                    data.vload(index(vn, vh - top, vw - left, vc)),
                    T.cast(data_zero_point[0], workload.data_dtype),
                )

    block()
    return source


def multiply(workload: Workload, source: Buffer, weight: Buffer) -> Buffer:
    N, OH, OW, OC = workload.in_nhwc.output_shape
    _, GROUP_IN, KH, KW = workload.weight_shape
    (SH, SW), (DH, DW), GROUP_OUT = workload.stride, workload.dilation, OC // workload.groups
    total = allocate("total", (N, OH, OW, OC), "int32")

    @inline
    def block() -> None:
        for n, h, w, o, kh, kw, c in T.grid(N, OH, OW, OC, KH, KW, GROUP_IN):
            with T.sblock("conv"):
                vn, vh, vw, vo, vkh, vkw, vc = T.axis.remap("SSSSRRR", [n, h, w, o, kh, kw, c])
                with T.init():
                    total[vn, vh, vw, vo] = 0
                total[vn, vh, vw, vo] = total[vn, vh, vw, vo] + T.cast(
                    source[vn, vh * SH + vkh * DH, vw * SW + vkw * DW, vo // GROUP_OUT * GROUP_IN + vc], "int32"
                ) * T.cast(weight[vkh, vkw, vc, vo], "int32")

    block()
    return total


def finish(workload: Workload, total: Buffer, given: Arguments) -> None:
    index = layout_of(workload).activations.in_array

    def addend(n: Expr, h: Expr, w: Expr, o: Expr) -> Expr | None:
        if not workload.residual:
            return None
        return residual_addend(given.residual.vload(index(n, h, w, o)), given.addition)

    @inline
    def block() -> None:
        for n, h, w, o in T.grid(*workload.in_nhwc.output_shape):
            with T.sblock("requantise"):
                vn, vh, vw, vo = T.axis.remap("SSSS", [n, h, w, o])
                T.buffer_store(
                    given.out,
                    requantise(
                        workload,
                        total[vn, vh, vw, vo] + given.bias[vo],
                        given.scale[vo],
                        given.output,
                        addend(vn, vh, vw, vo),
                    ),
                    index(vn, vh, vw, vo),
                )

    block()
