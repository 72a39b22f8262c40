"""Weights, bias and scale as dense kernels want them: in vectors of output channels, the zero point inside the bias."""

from math import ceil

import numpy as np

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import group_out
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.isa.dots import Dot


def pack_constants(workload: Workload, values: Quantization, dot: Dot) -> list[Array]:
    """weight as (group, block, kh, kw, quad, lane, 4), filled up with zeros; the zero point moves into the bias."""
    _, in_channels, kernel_h, kernel_w = workload.weight_shape
    groups, channels = workload.groups, group_out(workload)
    lanes, products = dot.lanes, dot.products
    blocks, quads = ceil(channels / lanes), ceil(in_channels / products)
    weight = np.zeros((groups, blocks * lanes, quads * products, kernel_h, kernel_w), dot.weight_dtype)
    weight[:, :channels, :in_channels] = values.weight.reshape(groups, channels, in_channels, kernel_h, kernel_w)
    packed = weight.reshape(groups, blocks, lanes, quads, products, kernel_h, kernel_w).transpose(0, 1, 5, 6, 3, 2, 4)
    return [np.ascontiguousarray(packed), *pack_channels(workload, values, dot, groups)]


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
