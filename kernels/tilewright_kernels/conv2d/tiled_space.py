"""Schedules of kernels whose output is cut into register tiles: one broadcast a pixel, no shuffles.

The loop nest, outermost first (`order` permutes the first four):

    image, row tile, channel-block tile, column tile      where in the output
      kernel row, kernel column, k_group                  the reduction
        split, row, column, block                         the register tile, unrolled
          one dot-product instruction                     such as 16 channels x 4 products
      requantise the tile and store it
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from tvm.s_tir.schedule import LoopRV, Schedule

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import group_out, stores_blocks
from tilewright_kernels.conv2d.narrowing import narrow_tile
from tilewright_kernels.conv2d.space import StructuredSpace
from tilewright_kernels.conv2d.tiled_choices import TiledChoices
from tilewright_kernels.conv2d.tiling import ORDERS, SHARED, Tiling
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.schedule.nest import attach, find_nest
from tilewright_kernels.schedule.orders import sample_order
from tilewright_kernels.schedule.parallel import share_outer
from tilewright_kernels.schedule.registers import keep_in_registers, unroll_vectors
from tilewright_kernels.schedule.stage import place_transposes
from tilewright_kernels.schedule.tiles import split_tail, split_tiles

REDUCTION = "kh", "kw", "q"
SUMS = "s", "h", "w", "b"


@dataclass(frozen=True)
class TiledNest:
    """The loops around the results of a tile, by the names of ORDERS."""

    outer: Mapping[str, LoopRV]
    """Over tiles, and over images."""
    tile: Mapping[str, LoopRV]
    """Inside a tile."""
    lane: LoopRV


class TiledSpace(TiledChoices, StructuredSpace[Tiling]):
    """Register tiles of the output; a kind says how its input is staged."""

    @abstractmethod
    def results(self, workload: Workload) -> Activations:
        """How results lie and leave."""

    @abstractmethod
    def place_stage(self, sch: Schedule, workload: Workload, threads: int, image: LoopRV, row: LoopRV) -> None:
        """Stage the input: `image` has all of an image inside, `row` all channels of a row tile, if it can."""

    def schedule(self, sch: Schedule, workload: Workload, target: Target, choice: Tiling | None = None) -> None:
        stores_vectors = stores_blocks(workload, self.dot)
        nest = tile_output(sch, workload, self.dot, choice)
        order = order_loops(sch, nest, choice)
        outer = [nest.outer[name] for name in order]
        if not stores_vectors:
            unroll_vectors(sch, attach(sch, "requantise", outer[-1]), ("h", "w", "b"))
        sums = attach(sch, "conv", outer[-1])
        image = nest.outer["image"]
        row = nest.outer["rows"] if order.index("rows") < order.index("blocks") else image
        self.place_stage(sch, workload, target.threads, image, row)
        place_transposes(sch, target.threads, row if self.results(workload).has_rows else image)
        if target.threads > 1:
            share_outer(sch, outer, SHARED, None if choice is None else choice.shared)
        keep_in_registers(sch, sums, REDUCTION, SUMS, self.dot.name)
        packs = stores_vectors and self.loops(workload).splits == 1  # what packs has one sum an output
        pixels = nest.tile["rows"], nest.tile["columns"]
        narrow_tile(sch, workload, self.dot, pixels, nest.tile["blocks"], nest.lane, packs)


def tile_output(sch: Schedule, workload: Workload, dot: Dot, choice: Tiling | None) -> TiledNest:
    """Split the output into register tiles."""
    if stores_blocks(workload, dot):
        nest = find_nest(sch, "requantise")
        block, lane = nest.pick("b", "l")
    else:
        nest = find_nest(sch, "store")
        block, lane = sch.split(nest["c"], [None, dot.lanes])
    # A group is to the loops inside it what an image is: data and weights of its own.
    outer = {"image": sch.fuse(*nest.pick("n", "g"))}
    tile: dict[str, LoopRV] = {}
    sizes = {} if choice is None else choice.sizes
    for name, loop in (("rows", nest["h"]), ("columns", nest["w"]), ("blocks", block)):
        outer[name], tile[name] = split_tiles(sch, loop, 1, sizes.get(name))
    if not stores_blocks(workload, dot):
        lane = split_tail(sch, lane, group_out(workload), dot.lanes)
    return TiledNest(outer, tile, lane)


def order_loops(sch: Schedule, nest: TiledNest, choice: Tiling | None) -> tuple[str, ...]:
    """Order the outer loops, and put the register tile inside them; gives the names of the outer ones."""
    names = sample_order(sch, ORDERS, None if choice is None else choice.order)
    sch.reorder(*(nest.outer[name] for name in names), *nest.tile.values())
    return names
