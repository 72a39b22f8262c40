"""A convolution over many channels, laid out for a dot-product instruction; groups stand side by side."""

from typing import Any

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import group_in, group_out
from tilewright_kernels.conv2d.dense.choices import loops_of, reads_data_directly
from tilewright_kernels.conv2d.signature import Arguments, Signature, prim_func
from tilewright_kernels.conv2d.tiles import finish, multiply
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.layouts.staging import Staging
from tilewright_kernels.layouts.table import layout_of
from tilewright_kernels.tir import Expr, allocate


def dense(workload: Workload, dot: Dot) -> Any:
    """data and out in the workload's layout; weight (group, channel block, kernel height, kernel width, k_group,
    lane, product), a k_group being the `dot.products` channels that one dot product sums.

    Blocks: `stage` unless the instruction can read the data as they are, `conv`, `requantise`, and `store` where the
    output channels do not fill whole blocks; those of the layout.
    """
    loops, staging, results = loops_of(workload, dot), staging_of(workload, dot), results_of(workload, dot)
    blocks = loops.groups, loops.channel_blocks
    weight_shape = (*blocks, *workload.kernel_size, loops.k_groups, loops.lanes, dot.products)
    (SH, SW), (DH, DW) = workload.stride, workload.dilation

    def emit(given: Arguments) -> None:
        source = stage(workload, staging, given)

        def data(n: Expr, h: Expr, w: Expr, g: Expr, kh: Expr, kw: Expr, q: Expr, i: Expr) -> Expr:
            return source(n, h * SH + kh * DH, w * SW + kw * DW, g, q, i)

        def weight(*index: Expr) -> Expr:
            return given.weight[index]

        total = multiply(loops, workload.kernel_size, dot, data, weight, given.bias)
        finish(workload, loops, dot, results, total, given)

    shapes = staging.data_shape, weight_shape, dot.weight_dtype, (*blocks, loops.lanes), results.array_shape
    return prim_func(Signature(workload, *shapes), emit)


def staging_of(workload: Workload, dot: Dot) -> Staging:
    loops, layout = loops_of(workload, dot), layout_of(workload)
    shape = loops.batch, loops.groups, group_in(workload), loops.height, loops.width
    return layout.staging(layout.activations(*shape, workload.data_dtype, has_groups=True), workload.padding, dot)


def results_of(workload: Workload, dot: Dot) -> Activations:
    loops = loops_of(workload, dot)
    shape = loops.batch, loops.groups, group_out(workload), loops.out_height, loops.out_width
    return layout_of(workload).activations(*shape, workload.out_dtype, loops.lanes, is_flat=False, has_groups=True)


def stage(workload: Workload, staging: Staging, given: Arguments) -> Any:
    """What reads element `i` of k_group `q` at a padded position (n, h, w, g, q, i): staged, or from the caller."""
    K = staging.dot.products
    if reads_data_directly(workload, staging.dot):
        return lambda n, h, w, g, q, i: given.data.vload(staging.data.part(n, h, w, g, q, K, i))
    source = allocate("source", staging.shape, staging.dot.data_dtype)
    staging.stage(given.data, given.data_zero_point, source)
    return lambda *position: source.vload(staging.index(*position))
