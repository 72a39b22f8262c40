"""What a register tile is expected to cost, and what the cost model is told of it."""

from math import log2, prod

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import ITEM_BYTES, narrowed_together
from tilewright_kernels.conv2d.cost import NARROWING_CYCLES, layout_features
from tilewright_kernels.conv2d.tiling import ORDERS, TiledLoops, Tiling
from tilewright_kernels.isa.dots import Dot

PORTS = 2
"""Loads that a core starts in a cycle, and dot products too."""

LATENCY_CYCLES = 4.5
"""From one dot product to the next on the same sum."""

SEVERAL_ROWS_COST = 1.02
"""A tile of several rows reads from as many places at once, and is expected to cost so many times as much."""

ORDER_COST = 0.02
"""Of each order that lies between the expected one and the one that is taken."""

LONG_REDUCTION = 128
"""In dot products: above it a block of weights is expected to be worth keeping for the whole image."""

KEEPS_WEIGHTS, KEEPS_ROWS = 0, 1
"""Of ORDERS, those that are expected to be best: for long reductions, and for others."""

FIRST_LEVEL_BYTES = 32 * 1024
SECOND_LEVEL_BYTES_A_CYCLE = 32
"""Weights of a tile that do not fit the first-level cache come from the second for every tile again."""


def expected_cost(workload: Workload, dot: Dot, loops: TiledLoops, tiling: Tiling) -> float:
    """Cycles a dot product in a simple model: loads and dot products compete for their ports."""
    loads = tiling.rows * tiling.columns + tiling.blocks
    products = workload.reduction / dot.products
    latency = LATENCY_CYCLES / loops.splits
    busiest = max(tiling.sums / PORTS, loads / PORTS, latency, _weight_cycles(dot, tiling.blocks, products))
    cost = busiest / tiling.sums + NARROWING_CYCLES[narrowed_together(tiling.blocks)] / products
    if tiling.rows > 1:
        cost *= SEVERAL_ROWS_COST
    expected_order = KEEPS_WEIGHTS if products > LONG_REDUCTION else KEEPS_ROWS
    return float(cost * (1 + ORDER_COST * abs(tiling.order - expected_order)))


def _weight_cycles(dot: Dot, blocks: int, products: float) -> float:
    """To fetch one vector of weights a block, where the tile's weights leave the first-level cache."""
    vector_bytes = dot.macs * ITEM_BYTES[dot.weight_dtype]
    fits = blocks * products * vector_bytes <= FIRST_LEVEL_BYTES
    return 0.0 if fits else blocks * vector_bytes / SECOND_LEVEL_BYTES_A_CYCLE


def features(
    workload: Workload, target: Target, dot: Dot, loops: TiledLoops, tiling: Tiling, is_staged: bool
) -> list[float]:
    """What the cost model sees of a tiling."""
    rows, columns, blocks, sums = tiling.rows, tiling.columns, tiling.blocks, tiling.sums
    weight_tile = blocks * dot.lanes * workload.reduction
    data_row = workload.width * workload.in_channels * workload.kernel_size[0]
    return [
        float(rows),
        float(columns),
        float(blocks),
        float(sums * loops.splits),
        (rows * columns + blocks) / sums,
        float(rows * columns),
        float(narrowed_together(blocks)),
        *(float(tiling.order == order) for order in range(len(ORDERS))),
        float(tiling.shared),
        log2(weight_tile),
        log2(weight_tile * loops.channel_blocks / blocks),
        log2(data_row),
        log2(loops.out_width / columns),
        log2(loops.out_height / rows),
        log2(loops.channel_blocks / blocks),
        log2(loops.k_groups),
        log2(prod(workload.kernel_size)),
        float(workload.stride[1]),
        float(is_staged),
        log2(workload.batch),
        float(target.threads),
        *layout_features(workload),
        expected_cost(workload, dot, loops, tiling),
    ]
