# mypy: ignore-errors
"""The convolution as a textbook writes it: any groups, any channels; what MetaSchedule's generic space works on."""

from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.epilogue import added_shape, requantise, residual_addend
from tilewright_kernels.layouts.activations import arranged


def plain(workload: Workload):
    """data and out in the workload's layout, weight (kernel height, kernel width, group channel, out_channels)."""
    N, H, W, C = workload.in_nhwc.input_shape
    _, OH, OW, OC = workload.in_nhwc.output_shape
    (KH, KW), (SH, SW), (DH, DW) = workload.kernel_size, workload.stride, workload.dilation
    top, left, bottom, right = workload.padding
    PH, PW = top + H + bottom, left + W + right
    GROUP_IN, GROUP_OUT = C // workload.groups, OC // workload.groups
    data_dtype, out_dtype = workload.data_dtype, workload.out_dtype

    def place(n, h, w, c):
        return arranged(workload.layout, n, h, w, c)

    def addend(residual, addition, n, h, w, o):
        return residual_addend(residual.vload(place(n, h, w, o)), addition) if workload.residual else None

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer(workload.input_shape, data_dtype, align=1),
        weight: T.Buffer((KH, KW, GROUP_IN, OC), "int8"),
        bias: T.Buffer((OC,), "int32"),
        scale: T.Buffer((OC,), "float32"),
        data_zero_point: T.Buffer((1,), "int32"),
        output: T.Buffer((3,), "int32"),
        addition: T.Buffer((2,), "float32"),
        residual: T.Buffer(added_shape(workload, workload.output_shape), workload.residual_dtype, align=1),
        out: T.Buffer(workload.output_shape, out_dtype, align=1),
    ):
        T.func_attr({"tirx.noalias": True})
        source = T.sblock_alloc_buffer((N, PH, PW, C), data_dtype)
        total = T.sblock_alloc_buffer((N, OH, OW, OC), "int32")
        for n, h, w, c in T.grid(N, PH, PW, C):
            with T.sblock("pad"):
                vn, vh, vw, vc = T.axis.remap("SSSS", [n, h, w, c])
                source[vn, vh, vw, vc] = T.if_then_else(
                    vh >= top and vh < top + H and vw >= left and vw < left + W,
                    data.vload(place(vn, vh - top, vw - left, vc)),
                    T.cast(data_zero_point[0], data_dtype),
                )
        for n, h, w, o, kh, kw, c in T.grid(N, OH, OW, OC, KH, KW, GROUP_IN):
            with T.sblock("conv"):
                vn, vh, vw, vo, vkh, vkw, vc = T.axis.remap("SSSSRRR", [n, h, w, o, kh, kw, c])
                with T.init():
                    total[vn, vh, vw, vo] = 0
                total[vn, vh, vw, vo] = total[vn, vh, vw, vo] + T.cast(
                    source[vn, vh * SH + vkh * DH, vw * SW + vkw * DW, vo // GROUP_OUT * GROUP_IN + vc], "int32"
                ) * T.cast(weight[vkh, vkw, vc, vo], "int32")
        for n, h, w, o in T.grid(N, OH, OW, OC):
            with T.sblock("requantise"):
                vn, vh, vw, vo = T.axis.remap("SSSS", [n, h, w, o])
                T.buffer_store(
                    out,
                    requantise(
                        workload,
                        total[vn, vh, vw, vo] + bias[vo],
                        scale[vo],
                        output,
                        addend(residual, addition, vn, vh, vw, vo),
                    ),
                    place(vn, vh, vw, vo),
                )

    return main
