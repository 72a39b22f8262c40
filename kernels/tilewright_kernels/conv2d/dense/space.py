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
from math import gcd
from typing import Any

from tilewright.contract.target import Target
from tilewright.contract.workload import CHANNEL_BLOCK, Workload
from tilewright_kernels.conv2d.channels import group_in, group_out, stores_blocks
from tilewright_kernels.conv2d.dense.choices import DenseChoices
from tilewright_kernels.conv2d.dense.definition import NchwArrays, dense
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.packing import pack_constants
from tilewright_kernels.conv2d.space import StructuredSpace
from tilewright_kernels.conv2d.tiling import ORDERS, SHARED, Tiling
from tilewright_kernels.isa import intrinsics
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.activations import Planes
from tilewright_kernels.schedule.tensorize import mark


class DenseSpace(DenseChoices, StructuredSpace[Tiling]):
    """Groups of many channels, or one; any stride, padding, dilation and batch."""

    def define(self, workload: Workload) -> Any:
        return dense(workload, self.dot)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        return pack_constants(workload, values, self.dot)

    def planes(self, workload: Workload) -> Planes:
        """How results leave in NCHW."""
        return NchwArrays(workload, self.dot).planes

    def stage_vector(self, workload: Workload) -> int:
        """How many bytes of the stage one copy moves: as many as are all inside the image or all outside."""
        return gcd(group_in(workload), CHANNEL_BLOCK if workload.layout == "NCHW16c" else 64)

    def schedule(self, sch: Any, workload: Workload, target: Target, choice: Tiling | None = None) -> None:
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
        packs = packs and self.loops(workload).parts == 1  # what packs has one sum an output
        narrow_tile(sch, workload, self.dot, tile, nest["blocks_in_tile"], nest["lane"], packs)

    def attach_stage(self, sch: Any, workload: Workload, threads: int, image: Any, by_row: Any) -> None:
        """Stage an image at a time, so that it stays in cache; in NCHW a row where rows do not share their data."""
        if workload.layout == "NCHW":
            place_turn(sch, "stage", threads, by_row if workload.kernel_size[0] == 1 else image)
        elif self.needs_stage(workload):
            place_stage(sch, image, threads, self.stage_vector(workload))
        elif workload.layout == "NHWC":
            sch.compute_inline(sch.get_sblock("stage"))


def tile_output(sch: Any, workload: Workload, dot: Dot, choice: Tiling | None) -> dict[str, Any]:
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
        decision = None if choice is None else [extent // getattr(choice, name), getattr(choice, name)]
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


def sample_order(sch: Any, orders: Sequence[tuple[str, ...]], place: int | None) -> tuple[str, ...]:
    """One of the orders of loops: that at `place`, or one that MetaSchedule draws."""
    order = sch.sample_categorical(list(range(len(orders))), [1 / len(orders)] * len(orders), decision=place)
    return orders[int(sch.get(order))]


def order_loops(sch: Any, nest: dict[str, Any], choice: Tiling | None) -> tuple[str, ...]:
    """Order the outer loops, and put the register tile inside them; gives the names of the outer ones."""
    names = sample_order(sch, ORDERS, None if choice is None else choice.order)
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
        place_turn(sch, "import_residual", threads, loop)
    place_turn(sch, "export", threads, loop)


def place_turn(sch: Any, name: str, threads: int, loop: Any) -> None:
    """Turn NCHW data inside `loop`, or, shared among threads, all at once."""
    if threads > 1:
        share_turn(sch, name)
    elif name == "export":
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


def share_among_threads(sch: Any, outer: list[Any], threads: int, choice: Tiling | None) -> None:
    if threads == 1:
        return
    decision = None if choice is None else SHARED.index(choice.shared)
    shared = sch.sample_categorical(list(SHARED), [1 / len(SHARED)] * len(SHARED), decision=decision)
    sch.parallel(sch.fuse(*outer[: int(sch.get(shared))]))
