"""What a quantized convolution means, in NumPy: the reference that every kernel has to equal bit for bit."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.contract.workload import Workload
from tilewright_kernels.layouts.arrays import as_nhwc, from_nhwc

Array = NDArray[Any]

REFERENCE = "NumPy, exact integer accumulation, QLinearConv rounding"
FLOAT_RANGE = {"none": (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0)}
BLOCK_ELEMENTS = 2**22
"""Numbers that are worked on at once, as far as a single row leaves the choice: 32 MiB in float64."""

Block = tuple[slice, slice]
"""Images, and rows of each."""

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
    """Block by block: eight bytes a number then take little room, however large the tensors are."""
    top, left, bottom, right = workload.padding
    borders = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(data, borders, constant_values=values.data_zero_point)  # which counts as nothing
    out = np.empty(workload.output_shape, workload.out_dtype)
    for block in _blocks(workload):
        sums = _convolve_exactly(workload, padded[_window(workload, block)], values) + values.bias.astype(np.int64)
        out[block] = _requantised(workload, sums, values, None if residual is None else residual[block])
    return out


def _blocks(workload: Workload) -> Iterator[Block]:
    """All of the output: several images, or some rows of one."""
    images, rows = block_size(workload)
    for image in range(0, workload.batch, images):
        for row in range(0, workload.out_height, rows):
            yield slice(image, image + images), slice(row, min(row + rows, workload.out_height))


def block_size(workload: Workload) -> tuple[int, int]:
    """Images and rows of the output that are computed at once."""
    at_once = max(1, BLOCK_ELEMENTS // row_elements(workload))
    if at_once < workload.out_height:
        return 1, at_once
    return at_once // workload.out_height, workload.out_height


def row_elements(workload: Workload) -> int:
    """Numbers that one row of the output takes: its share of the input, and its sums."""
    _, left, _, right = workload.padding
    inputs = (left + workload.width + right) * workload.in_channels * workload.stride[0]
    return inputs + workload.out_width * workload.out_channels


def _window(workload: Workload, block: Block) -> Block:
    """The padded input that a block of the output needs."""
    images, rows = block
    stride, extent = workload.stride[0], (workload.kernel_size[0] - 1) * workload.dilation[0] + 1
    return images, slice(rows.start * stride, (rows.stop - 1) * stride + extent)


def _requantised(workload: Workload, sums: NDArray[np.int64], values: Quantization, residual: Array | None) -> Array:
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


def _convolve_exactly(workload: Workload, padded: Array, values: Quantization) -> NDArray[np.int64]:
    """conv(data - zero point, weight) of padded NHWC data as integers, one matrix product per kernel tap and group."""
    centred, weight = padded.astype(np.float64) - values.data_zero_point, values.weight
    taps = [(kh, kw, _tap(workload, centred, kh, kw)) for kh, kw in np.ndindex(*workload.kernel_size)]
    sums = np.zeros((*taps[0][2].shape[:3], workload.out_channels))
    group_in = workload.in_channels // workload.groups
    group_out = workload.out_channels // workload.groups
    if group_in == group_out == 1:
        for kh, kw, tap in taps:
            sums += tap * weight[:, 0, kh, kw].astype(np.float64)
        return sums.astype(np.int64)
    for kh, kw, tap in taps:
        for group in range(workload.groups):
            inputs = slice(group * group_in, (group + 1) * group_in)
            outputs = slice(group * group_out, (group + 1) * group_out)
            sums[..., outputs] += tap[..., inputs] @ weight[outputs, :, kh, kw].T.astype(np.float64)
    return sums.astype(np.int64)


def _tap(workload: Workload, padded: Array, kh: int, kw: int) -> Array:
    """The inputs that meet kernel tap (kh, kw), one per output pixel: (images, rows, out width, in_channels)."""
    (stride_h, stride_w), (dilation_h, dilation_w) = workload.stride, workload.dilation
    extent_h = (workload.kernel_size[0] - 1) * dilation_h + 1
    rows = (padded.shape[1] - extent_h) // stride_h + 1
    first_h, first_w = kh * dilation_h, kw * dilation_w
    return padded[
        :,
        first_h : first_h + (rows - 1) * stride_h + 1 : stride_h,
        first_w : first_w + (workload.out_width - 1) * stride_w + 1 : stride_w,
    ]
