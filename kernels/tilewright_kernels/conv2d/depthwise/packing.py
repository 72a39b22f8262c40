"""Constants of depthwise kernels: channels in the order in which interleaving leaves them."""

import numpy as np

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import VECTORS
from tilewright_kernels.conv2d.depthwise.tiling import DepthwiseShape
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import fold_zero_point, in_blocks, instruction_zero_point, spread_taps
from tilewright_kernels.isa.dots import SEGMENT_BYTES, Dot


def pack_constants(workload: Workload, values: Quantization, dot: Dot) -> list[Array]:
    """weight as (block, output of a group, kernel height, k_group, vector, lane, product), channels in unpack order."""
    shape, channels = DepthwiseShape.of(workload, dot), workload.out_channels
    outer = shape.blocks * shape.channels, shape.outputs, workload.kernel_size[0]
    filled = np.zeros((*outer, shape.k_groups * dot.products), dot.weight_dtype)
    spread_taps(workload, values, filled[:channels])
    in_lanes = in_unpack_order(shape, dot, filled)
    weight = in_lanes.reshape(*in_lanes.shape[:-1], shape.k_groups, dot.products).transpose(0, 3, 4, 5, 1, 2, 6)
    zero_point = instruction_zero_point(workload, values, dot)
    folded, scale = fold_zero_point(values, zero_point), values.scale.astype(np.float32)
    return [
        np.ascontiguousarray(weight),
        in_unpack_order(shape, dot, in_blocks(folded, 1, shape.channels).ravel()),
        in_unpack_order(shape, dot, in_blocks(scale, 1, shape.channels).ravel()),
        np.array([zero_point], np.int32),
    ]


def in_unpack_order(shape: DepthwiseShape, dot: Dot, channels: Array) -> Array:
    """(channel, ...) as (block, vector, lane, ...), once for every stretch.

    Unpacking works inside parts of SEGMENT_BYTES bytes, of which each vector of sums takes every fourth four.
    """
    vector, lane = np.arange(VECTORS)[:, None], np.arange(dot.lanes)[None, :]
    part, lane_in_part = np.divmod(lane, SEGMENT_BYTES // VECTORS)
    order = (SEGMENT_BYTES * part + SEGMENT_BYTES // VECTORS * vector + lane_in_part) % shape.channels
    blocked = channels.reshape(shape.blocks, shape.channels, *channels.shape[1:])
    return np.ascontiguousarray(blocked[:, order])
