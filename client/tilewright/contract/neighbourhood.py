"""Which workloads are alike, so that a good schedule of one is likely good for the other."""

from math import log2

from tilewright.contract.workload import Workload

Place = tuple[float, ...]
"""Where a workload lies among all: its sizes in octaves, then what it is besides."""

UNLIKE = 2.0
"""How far apart workloads are that differ in type or layout: as far as two doublings of a size."""


def place_of(workload: Workload) -> Place:
    (kernel_h, kernel_w), (stride_h, stride_w) = workload.kernel_size, workload.stride
    return (
        log2(workload.batch),
        log2(workload.in_channels // workload.groups),
        log2(workload.out_channels),
        log2(workload.groups),
        log2(workload.out_height),
        log2(workload.out_width),
        # A kernel of another size changes more than as many channels: what is padded, and what is read again.
        2 * log2(kernel_h),
        2 * log2(kernel_w),
        log2(stride_h),
        log2(stride_w),
        log2(workload.dilation[0]),
        log2(workload.dilation[1]),
        UNLIKE * (workload.data_dtype == "int8"),
        UNLIKE * (workload.out_dtype in ("int32", "float32")),
        UNLIKE * (workload.layout != "NHWC"),
        UNLIKE * workload.residual,
    )


def distance(one: Place, other: Place) -> float:
    """0 for equal places; 1 for each size that doubles."""
    return sum(map(abs, map(float.__sub__, one, other)))
