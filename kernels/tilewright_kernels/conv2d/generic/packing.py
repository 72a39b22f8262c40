"""Constants of the generic kernel: as the textbook loops read them."""

import numpy as np

from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import fold_zero_point


def pack_constants(values: Quantization) -> list[Array]:
    """weight as (kernel height, kernel width, in_channels / groups, out_channels)."""
    return [
        np.ascontiguousarray(values.weight.transpose(2, 3, 1, 0)),
        fold_zero_point(values, values.data_zero_point),
        values.scale.astype(np.float32),
        np.array([values.data_zero_point], np.int32),
    ]
