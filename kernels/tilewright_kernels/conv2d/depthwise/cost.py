"""What a tile of a depthwise kernel is expected to cost, and what the cost model is told of it."""

from math import log2, prod

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.cost import layout_features
from tilewright_kernels.conv2d.depthwise.tiling import ORDERS, Chunking, DepthwiseShape, tile_rows

FIRST_LEVEL_BYTES = 32_000
MISS_COST = 0.3
"""Of each doubling of the staged rows above the first-level cache, next to one row that is interleaved or copied."""

ORDER_COST = 0.1
"""Of each order after the first of ORDERS, which leaves data as they lie in memory."""


def expected_cost(workload: Workload, shape: DepthwiseShape, chunking: Chunking) -> float:
    """Relative cycles: rows interleaved more than once, rows copied more than once, copies that leave L1."""
    interleaved = rows_read(workload, chunking.rows)
    copied = rows_read(workload, chunking.chunk_rows)
    staged = tile_rows(workload, chunking.chunk_rows) * shape.row_bytes
    misses = MISS_COST * log2(max(staged / FIRST_LEVEL_BYTES, 1))
    return float(interleaved + copied + misses + ORDER_COST * chunking.order)


def features(workload: Workload, target: Target, shape: DepthwiseShape, chunking: Chunking) -> list[float]:
    """What the cost model sees of a chunking."""
    return [
        float(chunking.rows),
        float(chunking.groups),
        float(shape.sums(chunking.rows, chunking.groups)),
        rows_read(workload, chunking.rows),
        rows_read(workload, chunking.chunk_rows),
        log2(chunking.chunk_rows),
        log2(tile_rows(workload, chunking.chunk_rows) * shape.row_bytes),
        *(float(chunking.order == order) for order in range(len(ORDERS))),
        float(shape.stretches),
        float(shape.outputs),
        float(shape.blocks),
        log2(workload.out_height),
        log2(workload.out_width),
        float(prod(workload.kernel_size)),
        float(workload.stride[1]),
        log2(workload.batch),
        float(target.threads),
        *layout_features(workload),
    ]


def rows_read(workload: Workload, rows: int) -> float:
    """Rows of pixels for one row of outputs, where so many share them."""
    return tile_rows(workload, rows) / rows
