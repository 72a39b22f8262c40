"""Constants of dense kernels: weights in vectors of output channels, the products of a lane side by side."""

from math import ceil

import numpy as np

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import group_out
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import pack_channels
from tilewright_kernels.isa.dots import Dot


def pack_constants(workload: Workload, values: Quantization, dot: Dot) -> list[Array]:
    """weight as (group, block, kernel height, kernel width, k_group, lane, product), filled up with zeros."""
    _, in_channels, kernel_h, kernel_w = workload.weight_shape
    groups, channels = workload.groups, group_out(workload)
    lanes, products = dot.lanes, dot.products
    blocks, k_groups = ceil(channels / lanes), ceil(in_channels / products)
    weight = np.zeros((groups, blocks * lanes, k_groups * products, kernel_h, kernel_w), dot.weight_dtype)
    weight[:, :channels, :in_channels] = values.weight.reshape(groups, channels, in_channels, kernel_h, kernel_w)
    lanewise = weight.reshape(groups, blocks, lanes, k_groups, products, kernel_h, kernel_w)
    packed = np.ascontiguousarray(lanewise.transpose(0, 1, 5, 6, 3, 2, 4))
    return [packed, *pack_channels(workload, values, dot, groups)]
