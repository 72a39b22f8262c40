"""Constants of kernels of few channels: the taps of a kernel row are one run, in the order of the data."""

from math import ceil

import numpy as np

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.few_channels.choices import RowShape
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import pack_channels
from tilewright_kernels.isa.dots import Dot


def pack_constants(workload: Workload, values: Quantization, dot: Dot) -> list[Array]:
    """weight as (block, kernel height, plane, k_group of a run, lane, product), filled up with zeros."""
    out_channels, _, kernel_h, kernel_w = workload.weight_shape
    row = RowShape.of(workload, dot)
    blocks, run = ceil(out_channels / dot.lanes), kernel_w * row.channels
    filled = np.zeros((blocks * dot.lanes, kernel_h, row.planes, row.k_groups * dot.products), dot.weight_dtype)
    # OIHW to (output channel, kernel height, plane, run): with one plane, the channels of a tap are inside it.
    order = (0, 2, 3, 1) if row.planes == 1 else (0, 2, 1, 3)
    filled[:out_channels, ..., :run] = values.weight.transpose(order).reshape(out_channels, kernel_h, -1, run)
    lanewise = filled.reshape(blocks, dot.lanes, kernel_h, row.planes, row.k_groups, dot.products)
    return [np.ascontiguousarray(lanewise.transpose(0, 2, 3, 4, 1, 5)), *pack_channels(workload, values, dot, groups=1)]
