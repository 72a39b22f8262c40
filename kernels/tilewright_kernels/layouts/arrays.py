"""NumPy arrays of activations in other layouts than NHWC."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright_kernels.layouts.traits import TRAITS


def as_nhwc(array: NDArray[Any], layout: str) -> NDArray[Any]:
    """A view of activations in `layout`, or a copy, as NHWC."""
    together = TRAITS[layout].channels_together
    if together is None:
        return array
    batch, chunks, height, width = array.shape[:4]
    chunked = array.reshape(batch, chunks, height, width, together)
    return chunked.transpose(0, 2, 3, 1, 4).reshape(batch, height, width, chunks * together)


def from_nhwc(array: NDArray[Any], layout: str) -> NDArray[Any]:
    """NHWC activations in `layout`, C-contiguous where that is another one."""
    together = TRAITS[layout].channels_together
    if together is None:
        return array
    chunked = array.reshape(*array.shape[:3], -1, together).transpose(0, 3, 1, 2, 4)
    return np.ascontiguousarray(chunked[..., 0] if together == 1 else chunked)
