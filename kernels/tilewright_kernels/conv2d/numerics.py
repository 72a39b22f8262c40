"""What a quantized convolution means, in NumPy: the reference that every kernel has to equal bit for bit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.contract.workload import Workload
from tilewright_kernels.layouts.arrays import as_nhwc, from_nhwc

Array = NDArray[Any]

REFERENCE = "NumPy, exact integer accumulation, QLinearConv rounding"
FLOAT_RANGE = {"none": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0)}
QUANTIZED_RANGE = {"uint8": (0, 255), "int8": (-128, 127)}


@dataclass(frozen=True)
class Quantization:
    """The values that a kernel is used with."""

    weight: Array
    """int8, OIHW: (out_channels, in_channels / groups, kernel height, kernel width)."""
    bias: Array
    """int32, (out_channels,)."""
    scale: Array
    """float32, (out_channels,): x_scale * w_scale / y_scale."""
    data_zero_point: int = 0
    out_zero_point: int = 0
    residual_scale: float = 1.0
    """float32, r_scale / y_scale."""
    residual_zero_point: int = 0
    out_scale: float = 1.0
    """y_scale: where a relu6 ends, at 6 / out_scale."""


def output_limits(workload: Workload, values: Quantization) -> tuple[int, int]:
    """The range of a result before the zero point is added; relu raises its lower end to zero, relu6 caps it too."""
    low, high = QUANTIZED_RANGE[workload.out_dtype]
    zero_point = values.out_zero_point
    floor = low if workload.activation == "none" else zero_point
    ceiling = high
    if workload.activation == "relu6":
        ceiling = min(high, zero_point + int(np.rint(np.float32(6) / np.float32(values.out_scale))))
    return max(low, floor) - zero_point, ceiling - zero_point


def reference(workload: Workload, data: Array, values: Quantization, residual: Array | None = None) -> Array:
    """The exact result in `out_dtype`; data, residual and result are in the workload's layout.

    Accumulates in float64, which holds every sum of at most 2^16 products of 8-bit numbers exactly (2^31 < 2^53),
    then follows ONNX QLinearConv: float32(sum + bias) * scale, round half to even, add the zero point, saturate.
    """
    layout = workload.layout
    added = None if residual is None else as_nhwc(residual, layout)
    return from_nhwc(_reference_of_nhwc(workload.in_nhwc, as_nhwc(data, layout), values, added), layout)


def _reference_of_nhwc(workload: Workload, data: Array, values: Quantization, residual: Array | None) -> Array:
    sums = convolve_exactly(workload, data, values.weight, values.data_zero_point) + values.bias.astype(np.int64)
    if workload.out_dtype == "int32":
        return np.maximum(sums, 0 if workload.activation == "relu" else -(2**31)).astype(np.int32)
    scaled = sums.astype(np.int32).astype(np.float32) * values.scale.astype(np.float32)
    if residual is not None:
        centred = (residual.astype(np.int32) - values.residual_zero_point).astype(np.float32)
        scaled = scaled + centred * np.float32(values.residual_scale)
    if workload.out_dtype == "float32":
        floor, ceiling = FLOAT_RANGE[workload.activation]
        return np.clip(scaled, np.float32(floor), np.float32(ceiling)).astype(np.float32)
    low, high = output_limits(workload, values)
    rounded = np.clip(np.rint(scaled), low, high).astype(np.int64)
    return (rounded + values.out_zero_point).astype(workload.out_dtype)


def convolve_exactly(workload: Workload, data: Array, weight: Array, data_zero_point: int) -> NDArray[np.int64]:
    """conv(data - zero point, weight) of NHWC data as integers, one matrix product per kernel tap and group."""
    top, left, bottom, right = workload.padding
    centred = data.astype(np.float64) - data_zero_point
    padded = np.pad(centred, ((0, 0), (top, bottom), (left, right), (0, 0)))
    group_in = workload.in_channels // workload.groups
    group_out = workload.out_channels // workload.groups
    if group_in == group_out == 1:
        return _convolve_depthwise(workload, padded, weight)
    sums = np.zeros(workload.output_shape)
    for kh, kw in np.ndindex(*workload.kernel_size):
        tap = _tap(workload, padded, kh, kw)
        for group in range(workload.groups):
            inputs = slice(group * group_in, (group + 1) * group_in)
            outputs = slice(group * group_out, (group + 1) * group_out)
            sums[..., outputs] += tap[..., inputs] @ weight[outputs, :, kh, kw].T.astype(np.float64)
    return sums.astype(np.int64)


def _convolve_depthwise(workload: Workload, padded: Array, weight: Array) -> NDArray[np.int64]:
    sums = np.zeros(workload.output_shape)
    for kh, kw in np.ndindex(*workload.kernel_size):
        sums += _tap(workload, padded, kh, kw) * weight[:, 0, kh, kw].astype(np.float64)
    return sums.astype(np.int64)


def _tap(workload: Workload, padded: Array, kh: int, kw: int) -> Array:
    """The inputs that meet kernel tap (kh, kw), one per output pixel: (batch, out height, out width, in_channels)."""
    (stride_h, stride_w), (dilation_h, dilation_w) = workload.stride, workload.dilation
    first_h, first_w = kh * dilation_h, kw * dilation_w
    return padded[
        :,
        first_h : first_h + (workload.out_height - 1) * stride_h + 1 : stride_h,
        first_w : first_w + (workload.out_width - 1) * stride_w + 1 : stride_w,
    ]
