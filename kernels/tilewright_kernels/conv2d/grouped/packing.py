"""Constants of grouped kernels: weights in vectors of output channels, for each output of a group of columns."""

import numpy as np

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import group_in
from tilewright_kernels.conv2d.grouped.tiling import LaneShape
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import pack_channels, spread_taps
from tilewright_kernels.isa.dots import Dot


def pack_constants(workload: Workload, values: Quantization, dot: Dot) -> list[Array]:
    """weight as (block, output of a group, kernel height, kernel column, k_group, lane, product), filled with zeros."""
    shape = LaneShape.of(workload, dot)
    out_channels, inputs, kernel_h, _ = workload.weight_shape
    outer = shape.blocks * dot.lanes, shape.outputs, kernel_h, shape.kernel_columns
    filled = np.zeros((*outer, shape.k_groups * dot.products), dot.weight_dtype)
    if group_in(workload) == 1:
        spread_taps(workload, values, filled[:out_channels, :, :, 0])
    else:
        filled[:out_channels, 0, :, :, :inputs] = values.weight.transpose(0, 2, 3, 1)
    lanewise = filled.reshape(shape.blocks, dot.lanes, *filled.shape[1:4], shape.k_groups, dot.products)
    packed = np.ascontiguousarray(lanewise.transpose(0, 2, 3, 4, 5, 1, 6))
    return [packed, *pack_channels(workload, values, dot, groups=1)]
