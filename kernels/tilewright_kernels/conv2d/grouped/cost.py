"""What a tile of a grouped kernel is expected to cost, and what the cost model is told of it."""

from math import log2, prod

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import narrowed_together
from tilewright_kernels.conv2d.cost import NARROWING_CYCLES, layout_features
from tilewright_kernels.conv2d.grouped.tiling import MOST_CHUNK_BYTES, ChunkedTile, LaneShape
from tilewright_kernels.isa.dots import Dot

SUMS_TO_HIDE_LATENCY = 16
LATENCY_COST = 9
"""Of a tile with one sum, next to requantising; it falls until there are SUMS_TO_HIDE_LATENCY."""

ROW_COST = 1
"""Of a tile's first row, next to requantising: all its rows share the weights that are loaded for it."""

REPEATED_COST = 2
"""Of staging everything once more."""


def expected_cost(workload: Workload, dot: Dot, shape: LaneShape, tile: ChunkedTile) -> float:
    """Relative cycles: sums that hide latency, vectors narrowed together, k_groups made twice, cache misses."""
    latency = LATENCY_COST / min(_sums(shape, tile), SUMS_TO_HIDE_LATENCY)
    narrowing = NARROWING_CYCLES[narrowed_together(tile.blocks)]
    staged = shape.staged_bytes(workload, dot, tile.chunk, tile.chunk_rows)
    whole = shape.staged_bytes(workload, dot, tile.chunk, workload.out_height)
    times = staged * workload.out_height / tile.chunk_rows / whole
    misses = staged / MOST_CHUNK_BYTES
    return float(latency + narrowing + ROW_COST / tile.rows + REPEATED_COST * times + misses)


def features(workload: Workload, target: Target, dot: Dot, shape: LaneShape, tile: ChunkedTile) -> list[float]:
    """What the cost model sees of a tile."""
    return [
        float(tile.rows),
        float(tile.groups),
        float(tile.blocks),
        float(narrowed_together(tile.blocks)),
        float(_sums(shape, tile)),
        float(tile.chunk),
        log2(tile.chunk_rows),
        log2(shape.staged_bytes(workload, dot, tile.chunk, tile.chunk_rows)),
        log2(shape.blocks / tile.chunk),
        log2(workload.out_height),
        log2(workload.out_width),
        float(prod(workload.kernel_size)),
        float(workload.reduction),
        float(workload.stride[1]),
        log2(workload.batch),
        float(target.threads),
        *layout_features(workload),
    ]


def _sums(shape: LaneShape, tile: ChunkedTile) -> int:
    return tile.rows * tile.groups * tile.blocks * shape.outputs
