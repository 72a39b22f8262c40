"""Bias and scale in vectors of output channels, the zero point of the data inside the bias."""

from math import ceil

import numpy as np

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.isa.dots import Dot


def pack_channels(workload: Workload, values: Quantization, dot: Dot, groups: int) -> list[Array]:
    """bias and scale as (group, block, lane), and the zero point of the data as the instruction sees it."""
    zero_point = instruction_zero_point(workload, values, dot)
    folded = fold_zero_point(values, zero_point)
    return [
        in_blocks(folded, groups, dot.lanes),
        in_blocks(values.scale.astype(np.float32), groups, dot.lanes),
        np.array([zero_point], np.int32),
    ]


def instruction_zero_point(workload: Workload, values: Quantization, dot: Dot) -> int:
    """Of the data as the instruction takes them, moved where it multiplies bytes of the other sign."""
    return values.data_zero_point + dot.data_offset(workload.data_dtype)


def fold_zero_point(values: Quantization, data_zero_point: int) -> Array:
    """conv(x - z, w) + b = conv(x, w) + (b - z * sum(w)), in int32 arithmetic, which wraps as the kernel's does."""
    weight_sums = values.weight.astype(np.int64).sum(axis=(1, 2, 3))
    folded: Array = (values.bias.astype(np.int64) - data_zero_point * weight_sums).astype(np.int32)
    return folded


def in_blocks(channels: Array, groups: int, lanes: int) -> Array:
    """(group, block, lane), the last block of each group filled up with zeros."""
    in_group = len(channels) // groups
    blocks = ceil(in_group / lanes)
    filled = np.zeros((groups, blocks * lanes), channels.dtype)
    filled[:, :in_group] = channels.reshape(groups, in_group)
    return filled.reshape(groups, blocks, lanes)


def spread_taps(workload: Workload, values: Quantization, rows: Array) -> None:
    """Put the taps of depthwise kernels into `rows`, (channel, output, kernel height, pixel): each output of a group
    of neighbours sees them shifted by as many pixels as it is to the right of the first.
    """
    stride, dilation, kernel_w = workload.stride[1], workload.dilation[1], workload.kernel_size[1]
    for output in range(rows.shape[1]):
        first = output * stride
        last = first + (kernel_w - 1) * dilation + 1
        rows[:, output, :, first:last:dilation] = values.weight[:, 0]
