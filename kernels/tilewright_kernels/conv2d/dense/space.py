# mypy: disable-error-code="no-any-unimported"
"""Dense convolutions on a dot-product instruction: a register tile of outputs, one broadcast a pixel, no shuffles.

The loop nest, outermost first (`order` permutes the first four):

    image, row tile, channel-block tile, column tile      where in the output
      kernel row, kernel column, channel quad             the reduction
        part, row, column, block                          the register tile, unrolled
          one dot-product instruction                     such as 16 channels x 4 products
      requantise the tile and store it
"""

from collections.abc import Sequence
from math import gcd, log2, prod
from typing import Any

import numpy as np

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import CHANNEL_BLOCK, Workload
from tilewright_kernels.conv2d.decisions import Category, Tiles, read_choice
from tilewright_kernels.conv2d.dense.definition import (
    ENOUGH_SUMS,
    DenseShape,
    NchwArrays,
    dense,
    group_in,
    group_out,
    reads_data_directly,
    stores_blocks,
)
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import pack_constants
from tilewright_kernels.conv2d.space import Choice, StructuredSpace
from tilewright_kernels.isa import intrinsics
from tilewright_kernels.isa.dots import DOTS, Dot
from tilewright_kernels.layouts.activations import Planes
from tilewright_kernels.schedule.tensorize import mark

ORDERS = (
    ("image", "blocks", "rows", "columns"),  # a block of weights stays in L1/L2 for the whole image
    ("image", "rows", "blocks", "columns"),  # rows of data stay in L1, weights stream
    ("image", "rows", "columns", "blocks"),  # a tile of data stays in L1, weights stream
)


LATENCY_CYCLES = 4.5
"""From one dot product to the next on the same sum."""

NARROWING_CYCLES = {1: 2.2, 2: 1.6, 4: 1.4}
"""To requantise one vector of sums, by how many are packed together."""

FIRST_LEVEL_BYTES = 32 * 1024
SECOND_LEVEL_BYTES_A_CYCLE = 32
"""Weights of a tile that do not fit the first-level cache come from the second for every tile again."""

CACHE_LINE = 64
FEW_LINES = 4
"""Where a pixel has fewer lines for each thread, those that two threads write to decide the time."""

SHARED = (1, 2, 3, 4)
"""How many outer loops are fused into the one that threads share."""


class DenseSpace(StructuredSpace):
    """Groups of many channels, or one; any stride, padding, dilation and batch."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.name = f"dense_{isa.value}"
        self.dot = DOTS[isa]

    def covers(self, workload: Workload, isa: Isa) -> bool:
        return isa is self.isa and (workload.groups == 1 or group_out(workload) >= self.dot.lanes // 2)

    def define(self, workload: Workload) -> Any:
        return dense(workload, self.dot)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        return pack_constants(workload, values, self.dot)

    def shape(self, workload: Workload) -> DenseShape:
        return DenseShape.of(workload, self.dot)

    def needs_stage(self, workload: Workload) -> bool:
        return not reads_data_directly(workload, self.dot)

    def planes(self, workload: Workload) -> Planes:
        """How results leave in NCHW."""
        return NchwArrays(workload, self.dot).planes

    def stage_vector(self, workload: Workload) -> int:
        """How many bytes of the stage one copy moves: as many as are all inside the image or all outside."""
        return gcd(group_in(workload), CHANNEL_BLOCK if workload.layout == "NCHW16c" else 64)

    def choices(self, workload: Workload, target: Target) -> list[Choice]:
        shape = self.shape(workload)
        found = [
            {"rows": rows, "columns": columns, "blocks": blocks, "order": order, "shared": shared}
            for rows, columns, blocks in self._tiles(shape)
            for extents in [outer_extents(shape, rows, columns, blocks)]
            for order in distinct_orders(extents)
            for shared in shared_loops(extents, order, target.threads)
        ]
        apart = [choice for choice in found if not self._shares_lines(workload, choice, target.threads)]
        return sorted(apart or found, key=lambda choice: self._expected_cost(workload, choice))

    def _tiles(self, shape: DenseShape) -> list[tuple[int, int, int]]:
        """Register tiles with sums enough, as far as there are any."""
        tiles = shape.tiles(self.dot.registers)
        enough = min(max(map(prod, tiles)) * shape.parts, ENOUGH_SUMS)
        return [tile for tile in tiles if prod(tile) * shape.parts >= enough]

    def _expected_cost(self, workload: Workload, choice: Choice) -> float:
        """Cycles a dot product in a simple model: loads and dot products compete for two ports each."""
        rows, columns, blocks, order = (choice[name] for name in ("rows", "columns", "blocks", "order"))
        sums, loads = rows * columns * blocks, rows * columns + blocks
        products = workload.reduction / self.dot.products
        latency = LATENCY_CYCLES / self.shape(workload).parts
        cost = max(sums / 2, loads / 2, latency, self._weight_cycles(blocks, products)) / sums
        cost += NARROWING_CYCLES[gcd(blocks, 4)] / products
        if rows > 1:
            cost *= 1.02
        return float(cost * (1 + 0.02 * abs(order - (0 if products > 128 else 1))))

    def _shares_lines(self, workload: Workload, choice: Choice, threads: int) -> bool:
        """Whether threads cut up the channels of a pixel inside cache lines, which then wander between their cores.

        The caller's memory starts anywhere, so a cut may be inside a line wherever it is.
        """
        extents = outer_extents(self.shape(workload), choice["rows"], choice["columns"], choice["blocks"])
        names = ORDERS[choice["order"]][: choice["shared"]]
        if workload.layout != "NHWC" or "blocks" not in names or extents["blocks"] == 1:
            return False
        pieces = prod(extents[name] for name in names[: names.index("blocks")])
        bytes_of_thread = workload.out_channels * np.dtype(workload.out_dtype).itemsize / threads
        return pieces < threads and bytes_of_thread < FEW_LINES * CACHE_LINE

    def _weight_cycles(self, blocks: int, products: float) -> float:
        """To fetch one vector of weights a block, where the tile's weights leave the first-level cache."""
        vector_bytes = self.dot.macs * np.dtype(self.dot.weight_dtype).itemsize
        fits = blocks * products * vector_bytes <= FIRST_LEVEL_BYTES
        return 0.0 if fits else blocks * vector_bytes / SECOND_LEVEL_BYTES_A_CYCLE

    def choice_of(self, decisions: Sequence[Any], target: Target) -> Choice | None:
        order = Category("order", tuple(range(len(ORDERS))))
        sampled = (Tiles(("rows",)), Tiles(("columns",)), Tiles(("blocks",)), order)
        if target.threads > 1:
            return read_choice(decisions, (*sampled, Category("shared", SHARED)))
        choice = read_choice(decisions, sampled)
        return None if choice is None else choice | {"shared": 0}

    def features(self, workload: Workload, target: Target, choice: Choice) -> list[float]:
        shape = self.shape(workload)
        rows, columns, blocks = choice["rows"], choice["columns"], choice["blocks"]
        pixels, sums = rows * columns, rows * columns * blocks
        kernel = prod(workload.kernel_size)
        weight_tile = blocks * self.dot.lanes * workload.reduction
        data_row = workload.width * workload.in_channels * workload.kernel_size[0]
        return [
            float(rows),
            float(columns),
            float(blocks),
            float(sums * shape.parts),
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
            float(self.needs_stage(workload)),
            log2(workload.batch),
            float(target.threads),
            *(float(workload.layout == layout) for layout in ("NCHW", "NCHW16c")),
            self._expected_cost(workload, choice),
        ]

    def schedule(self, sch: Any, workload: Workload, target: Target, choice: Choice | None = None) -> None:
        packs = stores_blocks(workload, self.dot)
        nest = tile_output(sch, workload, self.dot, choice)
        order = order_loops(sch, nest, choice)
        outer = [nest[name] for name in order]
        attach_sums(sch, outer[-1], packs)
        by_row = nest["rows"] if order.index("rows") < order.index("blocks") else nest["image"]
        self.attach_stage(sch, workload, target.threads, nest["image"], by_row)
        if workload.layout == "NCHW":
            by_row = by_row if self.planes(workload).has_rows else nest["image"]
            attach_turns(sch, workload, target.threads, by_row)
        share_among_threads(sch, outer, target.threads, choice)
        keep_tile_in_registers(sch, self.dot.name)
        tile = [nest["rows_in_tile"], nest["columns_in_tile"]]
        packs = packs and self.shape(workload).parts == 1  # what packs has one sum an output
        narrow_tile(sch, workload, self.dot, tile, nest["blocks_in_tile"], nest["lane"], packs)

    def attach_stage(self, sch: Any, workload: Workload, threads: int, image: Any, by_row: Any) -> None:
        """Stage an image at a time, so that it stays in cache; in NCHW a row where rows do not share their data."""
        if workload.layout == "NCHW":
            place_turn(sch, "stage", threads, by_row if workload.kernel_size[0] == 1 else image)
        elif self.needs_stage(workload):
            place_stage(sch, image, threads, self.stage_vector(workload))
        elif workload.layout == "NHWC":
            sch.compute_inline(sch.get_sblock("stage"))


def outer_extents(shape: DenseShape, rows: int, columns: int, blocks: int) -> dict[str, int]:
    """How often each outer loop runs when the output is cut into tiles of this size."""
    return {
        "image": shape.batch * shape.groups,
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
    # A loop that runs once adds nothing to those outside it.
    enough = [
        count
        for count, before, product in zip(SHARED, (0, *products), products, strict=False)
        if product >= threads and product > before
    ]
    return enough[:2] or [SHARED[-1]]


def tile_output(sch: Any, workload: Workload, dot: Dot, choice: Choice | None) -> dict[str, Any]:
    """Split the output into register tiles; the loops by name, inner ones with `_in_tile`."""
    whole_blocks = stores_blocks(workload, dot)
    if whole_blocks:
        image, group, row, column, block, lane = sch.get_loops(sch.get_sblock("requantise"))
    else:
        image, group, row, column, channel = sch.get_loops(sch.get_sblock("store"))
        block, lane = sch.split(channel, [None, dot.lanes])
    # A group is to the loops inside it what an image is: data and weights of its own.
    nest = {"image": sch.fuse(image, group), "lane": lane}
    for name, loop in (("rows", row), ("columns", column), ("blocks", block)):
        extent = int(sch.get(loop).extent)
        decision = None if choice is None else [extent // choice[name], choice[name]]
        factors = sch.sample_perfect_tile(loop, n=2, max_innermost_factor=32, decision=decision)
        nest[name], nest[name + "_in_tile"] = sch.split(loop, factors)
    if not whole_blocks:
        nest["lane"] = split_tail(sch, lane, group_out(workload), dot.lanes)
    return nest


def split_tail(sch: Any, lane: Any, channels: int, lanes: int) -> Any:
    """Cut the lanes of a block that may be partly empty; gives the loop over one vector.

    A vector is as many channels as divide both a block and the tail, so that none is half valid. The loop over
    vectors is unrolled: LLVM would make masked stores of it, and LLVM 22 stores four bytes where the mask of a
    narrowed vector has one lane.
    """
    vectors, vector = sch.split(lane, [None, gcd(channels, lanes)])
    sch.unroll(vectors)
    return vector


def sample_order(sch: Any, orders: Sequence[tuple[str, ...]], choice: Choice | None) -> tuple[str, ...]:
    """One of the orders of loops: that of the choice, or one that MetaSchedule draws."""
    decision = None if choice is None else choice["order"]
    order = sch.sample_categorical(list(range(len(orders))), [1 / len(orders)] * len(orders), decision=decision)
    return orders[int(sch.get(order))]


def order_loops(sch: Any, nest: dict[str, Any], choice: Choice | None) -> tuple[str, ...]:
    """Order the outer loops, and put the register tile inside them; gives the names of the outer ones."""
    names = sample_order(sch, ORDERS, choice)
    inner = [nest[name + "_in_tile"] for name in ("rows", "columns", "blocks")]
    sch.reorder(*(nest[name] for name in names), *inner)
    return names


def attach_sums(sch: Any, tile: Any, whole_blocks: bool) -> None:
    """Compute the sums of one tile, from the bias to the last product, right before they are requantised."""
    if not whole_blocks:
        requantise = sch.get_sblock("requantise")
        sch.compute_at(requantise, tile, preserve_unit_loops=True)
        unroll_tile(sch, requantise)
    sch.compute_at(sch.get_sblock("conv"), tile, preserve_unit_loops=True)


def attach_turns(sch: Any, workload: Workload, threads: int, loop: Any) -> None:
    """Bring the residual of NCHW in, and the results out, where `loop` has all channels of what it goes through."""
    if workload.residual:
        place_turn(sch, "enter", threads, loop)
    place_turn(sch, "leave", threads, loop)


def place_turn(sch: Any, name: str, threads: int, loop: Any) -> None:
    """Turn NCHW data inside `loop`, or, shared among threads, all at once."""
    if threads > 1:
        share_turn(sch, name)
    elif name == "leave":
        sch.reverse_compute_at(sch.get_sblock(name), loop, preserve_unit_loops=True)
    else:
        sch.compute_at(sch.get_sblock(name), loop, preserve_unit_loops=True)


def share_turn(sch: Any, name: str) -> None:
    sch.parallel(sch.fuse(*sch.get_loops(sch.get_sblock(name))))


def place_stage(sch: Any, image: Any | None, threads: int, vector: int) -> None:
    """Copy the padded input: inside the loop over images so that one stays in cache, or, without, all at once."""
    stage = sch.get_sblock("stage")
    if threads > 1:
        loops = sch.get_loops(stage)
        sch.parallel(sch.fuse(*loops[: max(2, len(loops) - 2)]))
    elif image is not None:
        sch.compute_at(stage, image, preserve_unit_loops=True)
    *_, channel = sch.get_loops(stage)
    _, lanes = sch.split(channel, [None, vector])
    sch.vectorize(lanes)


def keep_tile_in_registers(sch: Any, instruction: str) -> None:
    """The register tile inside the reduction, each of its sums one accumulator of the instruction."""
    conv = sch.get_sblock("conv")
    row, column, part, block, lane, kernel_row, kernel_column, quad, byte = sch.get_loops(conv)[-9:]
    sch.reorder(kernel_row, kernel_column, quad, part, row, column, block, lane, byte)
    start = sch.decompose_reduction(conv, kernel_row)
    unroll_tile(sch, start, loops=5)
    for loop in (part, row, column, block):
        sch.unroll(loop)
    mark(sch, lane, instruction)


def narrow_tile(sch: Any, workload: Workload, dot: Dot, tile: list[Any], block: Any, lane: Any, packs: bool) -> None:
    """Store the tile, `block` and `lane` inside it: if it `packs`, as many blocks at once as fill a vector of bytes."""
    groups = gcd(int(sch.get(block).extent), 4)
    intrinsic = intrinsics.narrow_name(workload, dot, groups) if packs else None
    if intrinsic is None:
        sch.vectorize(lane)
    else:
        block, group = sch.split(block, [None, groups])
        mark(sch, group, intrinsic)
    for loop in (*tile, block):
        sch.unroll(loop)


def unroll_tile(sch: Any, block: Any, loops: int = 4) -> None:
    """Unroll the tile's loops around `block`, `loops` with its lanes, which become one vector."""
    *tile, lane = sch.get_loops(block)[-loops:]
    for loop in tile:
        sch.unroll(loop)
    sch.vectorize(lane)


def share_among_threads(sch: Any, outer: list[Any], threads: int, choice: Choice | None) -> None:
    if threads == 1:
        return
    decision = None if choice is None else SHARED.index(choice["shared"])
    shared = sch.sample_categorical(list(SHARED), [1 / len(SHARED)] * len(SHARED), decision=decision)
    sch.parallel(sch.fuse(*outer[: int(sch.get(shared))]))
