"""ONNX Runtime, an optional extra: `tilewright[compare]`."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Array, Quantization

OPSET = 21
MICROSOFT = "com.microsoft"
ONNX_TYPE = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8}


class OnnxRuntimeConv:
    """QLinearConv; with channels_last, ONNX Runtime's fastest way of computing a workload on NHWC data."""

    def __init__(self, workload: Workload, values: Quantization, threads: int = 1) -> None:
        if workload.layout == "NCHW16c":
            raise ValueError("QLinearConv knows NHWC and NCHW, not NCHW16c")
        if workload.out_dtype not in ONNX_TYPE or workload.activation != "none" or workload.residual:
            raise ValueError("QLinearConv gives uint8 or int8, without activation and residual")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        model = qlinear_conv(workload, values).SerializeToString()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        self._out = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            list(workload.output_shape), np.dtype(workload.out_dtype), "cpu"
        )

    def bind(self, x: Array) -> None:
        """Fix the input of `run`, so that a call neither copies nor allocates."""
        self._binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x, "cpu"))
        self._binding.bind_ortvalue_output("y", self._out)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def __call__(self, x: Array) -> Array:
        """In the workload's layout, as is the result."""
        result: Array = self._session.run(None, {"x": x})[0]
        return result

    @staticmethod
    def version() -> str:
        version: str = onnxruntime.__version__
        return version


def qlinear_conv(workload: Workload, values: Quantization) -> Any:
    """A model of one node. With x_scale = y_scale = 1 the weight scales are the requantisation scales."""
    constants = {
        "x_scale": np.array(1, np.float32),
        "x_zero": np.array(values.data_zero_point, workload.data_dtype),
        "w": values.weight,
        "w_scale": values.scale.astype(np.float32),
        "w_zero": np.zeros(workload.out_channels, np.int8),
        "y_scale": np.array(1, np.float32),
        "y_zero": np.array(values.out_zero_point, workload.out_dtype),
        "bias": values.bias,
    }
    node = helper.make_node(
        "QLinearConv",
        ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "bias"],
        ["y"],
        domain=MICROSOFT,
        channels_last=int(workload.layout == "NHWC"),
        strides=list(workload.stride),
        pads=list(workload.padding),
        dilations=list(workload.dilation),
        group=workload.groups,
        kernel_shape=list(workload.kernel_size),
    )
    graph = helper.make_graph(
        [node],
        "conv",
        [helper.make_tensor_value_info("x", ONNX_TYPE[workload.data_dtype], workload.input_shape)],
        [helper.make_tensor_value_info("y", ONNX_TYPE[workload.out_dtype], workload.output_shape)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    return model
