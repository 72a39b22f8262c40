"""Two independent opinions on what a convolution gives: ONNX Runtime, and int64 arithmetic written out."""

from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright_kernels.isa.paths import host_isas

from .cases import Case

ELEMENT = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "int32": TensorProto.INT32}

HAS_EXACT_ONNX_RUNTIME = bool({Isa.AVX512_VNNI, Isa.AVX_VNNI} & set(host_isas()))
"""Without VNNI, ONNX Runtime adds uint8 x int8 products in saturating int16, and says so in its documentation."""


def in_nchw(array: np.ndarray, layout: str) -> np.ndarray:
    """Activations of any layout, as ONNX has them."""
    if layout == "NHWC":
        return np.moveaxis(array, 3, 1)
    if layout == "NCHW16c":
        batch, blocks, height, width, lanes = array.shape
        return np.moveaxis(array, 4, 2).reshape(batch, blocks * lanes, height, width)
    return array


def out_of_nchw(array: np.ndarray, layout: str) -> np.ndarray:
    if layout == "NHWC":
        return np.ascontiguousarray(np.moveaxis(array, 1, 3))
    if layout == "NCHW16c":
        batch, channels, height, width = array.shape
        return np.ascontiguousarray(np.moveaxis(array.reshape(batch, channels // 16, 16, height, width), 2, 4))
    return np.ascontiguousarray(array)


def int64_result(case: Case) -> np.ndarray:
    """Every output pixel as one einsum over its window, all in int64; only the scale is float32, as in QLinearConv."""
    workload = case.workload
    top, left, bottom, right = workload.padding
    centred = in_nchw(case.data, workload.layout).astype(np.int64) - case.data_zero_point
    padded = np.pad(centred, ((0, 0), (0, 0), (top, bottom), (left, right)))
    weight = case.weight.astype(np.int64).reshape(workload.groups, -1, *workload.weight_shape[1:])
    sums = np.empty((workload.batch, workload.out_channels, workload.out_height, workload.out_width), np.int64)
    for row, column in np.ndindex(workload.out_height, workload.out_width):
        window = _window(workload, padded, row, column)
        grouped = window.reshape(workload.batch, workload.groups, -1, *window.shape[2:])
        pixel = np.einsum("ngihw,goihw->ngo", grouped, weight)
        sums[..., row, column] = pixel.reshape(workload.batch, -1) + case.bias_or_zeros
    return out_of_nchw(_as_output(case, sums), workload.layout)


def onnx_runtime_result(case: Case) -> np.ndarray:
    """What ONNX Runtime's QLinearConv says, or its ConvInteger for int32 outputs. Its layout is NCHW."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = _qlinear_conv(case) if case.workload.out_dtype != "int32" else _conv_integer(case)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": np.ascontiguousarray(in_nchw(case.data, case.workload.layout))})
    if case.workload.out_dtype == "int32":
        result = result + case.bias_or_zeros.reshape(1, -1, 1, 1)
    else:
        result = (result.astype(np.int32) + _moved(case)).astype(case.workload.out_dtype)
    if case.workload.activation == "relu":
        result = np.maximum(result, np.array(case.out_zero_point, result.dtype))
    return out_of_nchw(result, case.workload.layout)


def _window(workload: Workload, padded: np.ndarray, row: int, column: int) -> np.ndarray:
    """The inputs of one output pixel: (batch, in_channels, kernel height, kernel width)."""
    (kernel_h, kernel_w), (dilation_h, dilation_w) = workload.kernel_size, workload.dilation
    first_h, first_w = row * workload.stride[0], column * workload.stride[1]
    return padded[
        ...,
        first_h : first_h + (kernel_h - 1) * dilation_h + 1 : dilation_h,
        first_w : first_w + (kernel_w - 1) * dilation_w + 1 : dilation_w,
    ]


def _as_output(case: Case, sums: np.ndarray) -> np.ndarray:
    dtype = np.dtype(case.workload.out_dtype)
    assert np.array_equal(sums, sums.astype(np.int32)), "the case overflows int32"
    if dtype == np.int32:
        result = sums
    else:
        scaled = sums.astype(np.float32) * case.scale.reshape(-1, 1, 1)
        rounded = np.rint(scaled.astype(np.float64)) + case.out_zero_point
        result = np.clip(rounded, np.iinfo(dtype).min, np.iinfo(dtype).max)
    if case.workload.activation == "relu":
        result = np.maximum(result, case.out_zero_point)
    return result.astype(dtype)


def _moved(case: Case) -> int:
    """QLinearConv has one type for x and y. Where ours differ, it writes y in the type of x, moved by 128."""
    offset = {"uint8": 128, "int8": 0}
    return offset[case.workload.out_dtype] - offset[case.workload.data_dtype]


def _qlinear_conv(case: Case) -> ModelProto:
    workload = case.workload
    constants: dict[str, Any] = {
        "x_scale": np.float32(case.x_scale),
        "x_zero_point": np.array(case.data_zero_point, workload.data_dtype),
        "w": case.weight,
        "w_scale": case.w_scale,
        "w_zero_point": np.zeros(np.shape(case.w_scale), np.int8),
        "y_scale": np.float32(case.y_scale),
        "y_zero_point": np.array(case.out_zero_point - _moved(case), workload.data_dtype),
    }
    if case.bias is not None:
        constants["b"] = case.bias
    return _model(workload, "QLinearConv", ["x", *constants], constants, workload.data_dtype)


def _conv_integer(case: Case) -> ModelProto:
    constants = {"w": case.weight, "x_zero_point": np.array(case.data_zero_point, case.workload.data_dtype)}
    return _model(case.workload, "ConvInteger", ["x", *constants], constants, "int32")


def _model(
    workload: Workload, operator: str, inputs: list[str], constants: dict[str, Any], out_dtype: str
) -> ModelProto:
    node = helper.make_node(
        operator,
        inputs,
        ["y"],
        kernel_shape=workload.kernel_size,
        strides=workload.stride,
        pads=workload.padding,
        dilations=workload.dilation,
        group=workload.groups,
    )
    shape = [workload.batch, workload.in_channels, workload.height, workload.width]
    data = helper.make_tensor_value_info("x", ELEMENT[workload.data_dtype], shape)
    result = helper.make_tensor_value_info("y", ELEMENT[out_dtype], None)
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph([node], "conv", [data], [result], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
