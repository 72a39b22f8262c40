# mypy: disable-error-code="no-any-unimported"
"""Dense convolutions on a dot-product instruction: a register tile of outputs, one broadcast a pixel, no shuffles.

The loop nest, outermost first (`order` permutes the first four):

    image, row tile, channel-block tile, column tile      where in the output
      kernel row, kernel column, channel quad             the reduction
        row, column, block                                the register tile, unrolled
          one dot-product instruction                     16 (AVX-512) or 8 (AVX-VNNI) channels x 4 products
      requantise the tile and store it
"""

from math import ceil, gcd, log2, prod
from typing import Any

import numpy as np

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels import intrinsics
from tilewright_kernels.definitions.dense import QUAD, DenseShape, dense, fills_blocks, reads_data_directly
from tilewright_kernels.numerics import Array, Quantization
from tilewright_kernels.spaces.factors import divisors
from tilewright_kernels.spaces.marks import mark
from tilewright_kernels.spaces.space import Choice, StructuredSpace

REGISTERS = {Isa.AVX512_VNNI: 32, Isa.AVX_VNNI: 16}

ORDERS = (
    ("image", "blocks", "rows", "columns"),  # a block of weights stays in L1/L2 for the whole image
    ("image", "rows", "blocks", "columns"),  # rows of data stay in L1, weights stream
    ("image", "rows", "columns", "blocks"),  # a tile of data stays in L1, weights stream
)


LATENCY_CYCLES = 4.5
"""From one dot product to the next on the same sum."""

NARROWING_CYCLES = {1: 2.2, 2: 1.6, 4: 1.4}
"""To requantise one vector of sums, by how many are packed together."""

MOST_SQUARE_PIXELS = 8
"""Tiles of several rows share no more cache lines than one long row; up to here they are tried all the same."""

SHARED = (1, 2, 3, 4)
"""How many outer loops are fused into the one that threads share."""


class DenseSpace(StructuredSpace):
    """groups = 1, any channels, stride, padding, dilation and batch."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.name = f"dense_{isa.value}"
        self.lanes = intrinsics.LANES[isa]
        self.registers = REGISTERS[isa]

    def covers(self, workload: Workload, isa: Isa) -> bool:
        return isa is self.isa and workload.groups == 1

    def define(self, workload: Workload) -> Any:
        return dense(workload, self.lanes)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        return pack_constants(workload, values, self.lanes)

    def choices(self, workload: Workload, target: Target) -> list[Choice]:
        shape = DenseShape.of(workload, self.lanes)
        found = [
            {"rows": rows, "columns": columns, "blocks": blocks, "order": order, "shared": shared}
            for rows, columns, blocks in self._tiles(shape)
            for extents in [outer_extents(shape, rows, columns, blocks)]
            for order in distinct_orders(extents)
            for shared in shared_loops(extents, order, target.threads)
        ]
        return sorted(found, key=lambda choice: self._expected_cost(workload, choice))

    def _tiles(self, shape: DenseShape) -> list[tuple[int, int, int]]:
        """Register tiles: every sum, the weights of each block and one broadcast have to fit the register file."""
        tiles = [
            (rows, columns, blocks)
            for columns in divisors(shape.out_width)
            for rows in divisors(shape.out_height)
            if rows == 1 or rows * columns <= MOST_SQUARE_PIXELS or columns == shape.out_width
            for blocks in divisors(shape.channel_blocks)
            if rows * columns * blocks + blocks + 1 <= self.registers
        ]
        # Fewer than 8 sums cannot hide the 4-5 cycles of a dot product issued twice a cycle.
        enough = min(max(map(prod, tiles)), 8)
        return [tile for tile in tiles if prod(tile) >= enough]

    def _expected_cost(self, workload: Workload, choice: Choice) -> float:
        """Cycles a dot product in a simple model: loads and dot products compete for two ports each."""
        rows, columns, blocks, order = (choice[name] for name in ("rows", "columns", "blocks", "order"))
        sums, loads = rows * columns * blocks, rows * columns + blocks
        products = workload.reduction / QUAD
        cost = max(sums / 2, loads / 2, LATENCY_CYCLES) / sums
        cost += NARROWING_CYCLES[gcd(blocks, 4)] / products
        if rows > 1:
            cost *= 1.02
        return float(cost * (1 + 0.02 * abs(order - (0 if products > 128 else 1))))

    def features(self, workload: Workload, target: Target, choice: Choice) -> list[float]:
        shape = DenseShape.of(workload, self.lanes)
        rows, columns, blocks = choice["rows"], choice["columns"], choice["blocks"]
        pixels, sums = rows * columns, rows * columns * blocks
        kernel = prod(workload.kernel_size)
        weight_tile = blocks * self.lanes * workload.reduction
        data_row = workload.width * workload.in_channels * workload.kernel_size[0]
        return [
            float(rows),
            float(columns),
            float(blocks),
            float(sums),
            (pixels + blocks) / sums,
            float(pixels),
            float(gcd(blocks, 4)),
            *(float(choice["order"] == order) for order in range(len(ORDERS))),
            float(choice["shared"]),
            log2(weight_tile),
            log2(weight_tile * shape.channel_blocks / blocks),
            log2(data_row),
            log2(shape.out_width / columns),
            log2(shape.out_height / rows),
            log2(shape.channel_blocks / blocks),
            log2(shape.channel_quads),
            log2(kernel),
            float(workload.stride[1]),
            float(reads_data_directly(workload)),
            log2(workload.batch),
            float(target.threads),
        ]

    def schedule(self, sch: Any, workload: Workload, target: Target, choice: Choice | None = None) -> None:
        nest = tile_output(sch, workload, self.lanes, choice)
        outer = order_loops(sch, nest, choice)
        attach_sums(sch, outer[-1], fills_blocks(workload, self.lanes))
        if reads_data_directly(workload):
            sch.compute_inline(sch.get_sblock("stage"))
        else:
            place_stage(sch, nest["image"], target.threads)
        share_among_threads(sch, outer, target.threads, choice)
        keep_tile_in_registers(sch, intrinsics.DOT[self.isa])
        narrow_tile(sch, nest, workload, self.lanes)


def outer_extents(shape: DenseShape, rows: int, columns: int, blocks: int) -> dict[str, int]:
    """How often each outer loop runs when the output is cut into tiles of this size."""
    return {
        "image": shape.batch,
        "rows": shape.out_height // rows,
        "columns": shape.out_width // columns,
        "blocks": shape.channel_blocks // blocks,
    }


def distinct_orders(extents: dict[str, int]) -> list[int]:
    """The orders that differ: loops of extent 1 do not count."""
    distinct: dict[tuple[str, ...], int] = {}
    for index, order in enumerate(ORDERS):
        distinct.setdefault(tuple(name for name in order if extents[name] > 1), index)
    return list(distinct.values())


def shared_loops(extents: dict[str, int], order: int, threads: int) -> list[int]:
    """How many of the outer loops may be fused and shared: the fewest that feed every thread, or one more."""
    if threads == 1:
        return [0]
    products = [prod(extents[name] for name in ORDERS[order][:count]) for count in SHARED]
    enough = [count for count, product in zip(SHARED, products, strict=True) if product >= threads]
    return enough[:2] or [SHARED[-1]]


def pack_constants(workload: Workload, values: Quantization, lanes: int) -> list[Array]:
    """weight as (block, kh, kw, quad, lane, 4), filled up with zeros; the data zero point moves into the bias."""
    out_channels, in_channels, kernel_h, kernel_w = workload.weight_shape
    blocks, quads = ceil(out_channels / lanes), ceil(in_channels / QUAD)
    weight = np.zeros((blocks * lanes, quads * QUAD, kernel_h, kernel_w), np.int8)
    weight[:out_channels, :in_channels] = values.weight
    packed = weight.reshape(blocks, lanes, quads, QUAD, kernel_h, kernel_w).transpose(0, 4, 5, 2, 1, 3)
    zero_point = values.data_zero_point + (128 if workload.data_dtype == "int8" else 0)
    folded = fold_zero_point(values, zero_point)
    return [
        np.ascontiguousarray(packed),
        _in_blocks(folded, blocks, lanes),
        _in_blocks(values.scale.astype(np.float32), blocks, lanes),
        np.array([zero_point], np.int32),
    ]


def fold_zero_point(values: Quantization, data_zero_point: int) -> Array:
    """conv(x - z, w) + b = conv(x, w) + (b - z * sum(w)), in int32 arithmetic, which wraps as the kernel's does."""
    weight_sums = values.weight.astype(np.int64).sum(axis=(1, 2, 3))
    folded: Array = (values.bias.astype(np.int64) - data_zero_point * weight_sums).astype(np.int32)
    return folded


def _in_blocks(channels: Array, blocks: int, lanes: int) -> Array:
    filled = np.zeros(blocks * lanes, channels.dtype)
    filled[: len(channels)] = channels
    return filled.reshape(blocks, lanes)


def tile_output(sch: Any, workload: Workload, lanes: int, choice: Choice | None) -> dict[str, Any]:
    """Split the output into register tiles; the loops by name, inner ones with `_in_tile`."""
    whole_blocks = fills_blocks(workload, lanes)
    if whole_blocks:
        image, row, column, block, lane = sch.get_loops(sch.get_sblock("requantise"))
    else:
        image, row, column, channel = sch.get_loops(sch.get_sblock("store"))
        block, lane = sch.split(channel, [None, lanes])
    nest = {"image": image, "lane": lane}
    for name, loop in (("rows", row), ("columns", column), ("blocks", block)):
        extent = int(sch.get(loop).extent)
        decision = None if choice is None else [extent // choice[name], choice[name]]
        factors = sch.sample_perfect_tile(loop, n=2, max_innermost_factor=32, decision=decision)
        nest[name], nest[name + "_in_tile"] = sch.split(loop, factors)
    if not whole_blocks:
        # Vectors of as many channels as divide both a block and the tail, so that none is half valid.
        _, nest["lane"] = sch.split(lane, [None, gcd(workload.out_channels, lanes)])
    return nest


def order_loops(sch: Any, nest: dict[str, Any], choice: Choice | None) -> list[Any]:
    """Order the outer loops, and put the register tile inside them."""
    decision = None if choice is None else choice["order"]
    order = sch.sample_categorical(list(range(len(ORDERS))), [1 / len(ORDERS)] * len(ORDERS), decision=decision)
    outer = [nest[name] for name in ORDERS[int(sch.get(order))]]
    inner = [nest[name + "_in_tile"] for name in ("rows", "columns", "blocks")]
    sch.reorder(*outer, *inner)
    return outer


def attach_sums(sch: Any, tile: Any, whole_blocks: bool) -> None:
    """Compute the sums of one tile, from the bias to the last product, right before they are requantised."""
    if not whole_blocks:
        requantise = sch.get_sblock("requantise")
        sch.compute_at(requantise, tile, preserve_unit_loops=True)
        unroll_tile(sch, requantise)
    sch.compute_at(sch.get_sblock("conv"), tile, preserve_unit_loops=True)


def place_stage(sch: Any, image: Any, threads: int) -> None:
    """Copy the padded input: one image at a time so that it stays in cache, or all of it by all threads."""
    stage = sch.get_sblock("stage")
    if threads == 1:
        sch.compute_at(stage, image, preserve_unit_loops=True)
    *_, channel = sch.get_loops(stage)
    if threads > 1:
        sch.parallel(sch.fuse(*sch.get_loops(stage)[:2]))
    extent = int(sch.get(channel).extent)
    _, lanes = sch.split(channel, [None, gcd(extent, 64)])
    sch.vectorize(lanes)


def keep_tile_in_registers(sch: Any, instruction: str) -> None:
    """The register tile inside the reduction, each of its sums one accumulator of the instruction."""
    conv = sch.get_sblock("conv")
    row, column, block, lane, kernel_row, kernel_column, quad, byte = sch.get_loops(conv)[-8:]
    sch.reorder(kernel_row, kernel_column, quad, row, column, block, lane, byte)
    start = sch.decompose_reduction(conv, kernel_row)
    unroll_tile(sch, start)
    for loop in (row, column, block):
        sch.unroll(loop)
    mark(sch, lane, instruction)


def narrow_tile(sch: Any, nest: dict[str, Any], workload: Workload, lanes: int) -> None:
    """Store the tile: as many channel blocks at once as pack into one vector of bytes."""
    blocks = int(sch.get(nest["blocks_in_tile"]).extent)
    groups = gcd(blocks, 4)
    intrinsic = intrinsics.narrow_name(workload.out_dtype, groups) if lanes == 16 else None
    if intrinsic is None or not fills_blocks(workload, lanes):
        sch.vectorize(nest["lane"])
    else:
        nest["blocks_in_tile"], group = sch.split(nest["blocks_in_tile"], [None, groups])
        mark(sch, group, intrinsic)
    for name in ("rows_in_tile", "columns_in_tile", "blocks_in_tile"):
        sch.unroll(nest[name])


def unroll_tile(sch: Any, block: Any) -> None:
    """Unroll the tile's loops around `block`, its lanes as one vector."""
    *tile, lane = sch.get_loops(block)[-4:]
    for loop in tile:
        sch.unroll(loop)
    sch.vectorize(lane)


def share_among_threads(sch: Any, outer: list[Any], threads: int, choice: Choice | None) -> None:
    if threads == 1:
        return
    decision = None if choice is None else SHARED.index(choice["shared"])
    shared = sch.sample_categorical(list(SHARED), [1 / len(SHARED)] * len(SHARED), decision=decision)
    sch.parallel(sch.fuse(*outer[: int(sch.get(shared))]))
