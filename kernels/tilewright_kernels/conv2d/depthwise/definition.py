"""Depthwise convolutions in whole vectors of channels: pixels are interleaved into k_groups in registers, never stored.

A vector holds one byte of each of its channels. Four neighbouring pixels A, B, C, D of a row become four vectors of
k_groups (a b c d of one channel in each lane of 32 bits) by unpacking twice: bytes of A with B and C with D, then pairs
with pairs. Unpacking works inside segments of 128 bits, so the channels of the four vectors come out of order:

    vector j, lane l   <->   channel 16 * (l // 4) + 4 * j + l % 4

Weights, bias and scale are packed in that order, and packing the four sums down to bytes, which also works inside
segments, puts the channels back. Where the channels do not fill vectors, a vector holds several pixels: a row
is cut into `stretches`, which are staged and computed side by side.
"""

from typing import Any

from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import VECTORS
from tilewright_kernels.conv2d.depthwise.k_groups import KGroups
from tilewright_kernels.conv2d.depthwise.results import Results
from tilewright_kernels.conv2d.depthwise.staging import StretchRows
from tilewright_kernels.conv2d.depthwise.tiling import DepthwiseShape
from tilewright_kernels.conv2d.signature import Arguments, Signature, prim_func
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.table import whole_data, whole_results
from tilewright_kernels.layouts.traits import IMPORT_DATA
from tilewright_kernels.tir import Buffer, accumulate, allocate, inline


def depthwise(workload: Workload, dot: Dot) -> Any:
    """data and out in the workload's layout, weight (block, output of a group, kernel height, k_group, vector, lane,
    product).

    Blocks: `stage` (the padding), `interleave`, `conv`, `requantise`; those of the layout.
    """
    shape, narrowing = DepthwiseShape.of(workload, dot), dot.vectors.narrowing
    assert narrowing is not None, "paths without it have no depthwise space"
    rows = StretchRows(workload, dot, shape, whole_data(workload))
    results = whole_results(workload)

    def emit(given: Arguments) -> None:
        data = rows.data.imported(given.data, IMPORT_DATA)
        source = allocate("source", (workload.batch, rows.rows * shape.row_bytes), dot.data_dtype)
        rows.stage(data, given.data_zero_point, source)
        k_groups = KGroups(workload, dot, shape)
        total = multiply(workload, k_groups, k_groups.interleave(source, rows.rows), given.weight, given.bias)
        result = results.result(given.out)
        Results(workload, dot, shape, narrowing, rows, results).requantise(total, given.scale, given.output, result)
        results.export(result, given.out)

    channels = shape.blocks, VECTORS, dot.lanes
    weight_shape = shape.blocks, shape.outputs, workload.kernel_size[0], shape.k_groups, *channels[1:], dot.products
    shapes = rows.data.array_shape, weight_shape, dot.weight_dtype, channels, results.array_shape
    return prim_func(Signature(workload, *shapes), emit)


def multiply(workload: Workload, k_groups: KGroups, source: Buffer, weight: Buffer, bias: Buffer) -> Buffer:
    """Block `conv`: (image, row, group of outputs, block, output, vector, lane)."""
    shape, dot, (SH, _), (DH, _) = k_groups.shape, k_groups.dot, workload.stride, workload.dilation
    sums = workload.batch, workload.out_height, shape.groups, shape.blocks, shape.outputs, VECTORS, dot.lanes
    total = allocate("total", sums, "int32", scope="local")

    @inline
    def block() -> None:
        for n, h, g, b, o, j, lane, kh, q, i in T.grid(*sums, workload.kernel_size[0], shape.k_groups, dot.products):
            with T.sblock("conv"):
                vn, vh, vg, vb, vo, vj, vl, vkh, vq, vi = T.axis.remap("SSSSSSSRRR", [n, h, g, b, o, j, lane, kh, q, i])
                accumulate(
                    total[vn, vh, vg, vb, vo, vj, vl],
                    bias[vb, vj, vl],
                    source[vn, vh * SH + vkh * DH, vg, k_groups.at(vb, vq, vj) + vl * dot.products + vi],
                    weight[vb, vo, vkh, vq, vj, vl, vi],
                )

    block()
    return total
