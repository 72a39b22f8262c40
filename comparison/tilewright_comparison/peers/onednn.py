"""oneDNN, through the operators that torch has for it: `tilewright[onednn]`."""

from typing import Any

import torch

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Array, Quantization

OUT_DTYPE = {"uint8": torch.uint8, "int8": torch.int8}


class OneDnnConv:
    """A quantized convolution on channels_last data with weights packed before.

    oneDNN scales the sum before it adds the bias, and adds the zero point before it rounds: where that is not exact in
    float32, a result may differ from QLinearConv's by one.
    """

    def __init__(self, workload: Workload, values: Quantization, threads: int) -> None:
        if workload.out_dtype not in OUT_DTYPE or workload.activation != "none" or workload.residual:
            raise ValueError("compared for uint8 or int8 outputs without activation and residual only")
        if workload.layout != "NHWC":
            raise ValueError("compared on NHWC data only")
        top, left, bottom, right = workload.padding
        if (top, left) != (bottom, right):
            raise ValueError("torch pads both sides alike")
        self._threads = threads
        self._zero_point = values.data_zero_point
        geometry = (list(workload.stride), [top, left], list(workload.dilation), workload.groups)
        scale = torch.from_numpy(values.scale)
        shape = [workload.batch, workload.in_channels, workload.height, workload.width]
        weight = torch.ops.onednn.qconv_prepack(
            torch.from_numpy(values.weight), scale, 1.0, values.data_zero_point, *geometry, shape
        )
        bias = torch.from_numpy(values.bias * values.scale)  # in real numbers: x_scale = y_scale = 1
        zero_points = torch.zeros(workload.out_channels, dtype=torch.int32)
        output: tuple[Any, ...] = (1.0, values.out_zero_point, OUT_DTYPE[workload.out_dtype], "none", [], "")
        self._arguments = (weight, scale, zero_points, bias.to(torch.float32), *geometry, *output)
        self._x: Any = None

    def bind(self, x: Array) -> None:
        """Fix the input of `run`; the output is allocated by every call."""
        self._x = torch.from_numpy(x).permute(0, 3, 1, 2)

    def run(self) -> Any:
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        return torch.ops.onednn.qconv2d_pointwise(self._x, 1.0, self._zero_point, *self._arguments)

    def __call__(self, x: Array) -> Array:
        """NHWC in, NHWC out."""
        self.bind(x)
        result: Array = self.run().permute(0, 2, 3, 1).contiguous().numpy()
        return result

    @staticmethod
    def version() -> str:
        """torch's, with that of the oneDNN in it."""
        line = next(line for line in torch.__config__.show().splitlines() if "MKL-DNN" in line)
        return f"{line.split()[3].removeprefix('v')} (torch {torch.__version__})"
