"""What can be chosen where the output is cut into register tiles: for dense kernels and those of few channels."""

from abc import abstractmethod
from collections.abc import Mapping
from math import prod
from typing import ClassVar

from tilewright.contract.candidates import Choice
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d import tiled_cost
from tilewright_kernels.conv2d.channels import CACHE_LINE, ITEM_BYTES
from tilewright_kernels.conv2d.choices import ChoiceSpace
from tilewright_kernels.conv2d.divisors import cut_evenly
from tilewright_kernels.conv2d.tiling import ORDERS, SHARED, TiledLoops, Tiling, distinct_orders, shared_loops
from tilewright_kernels.layouts.traits import traits_of

ENOUGH_SUMS = 8
"""Fewer cannot hide the 4-5 cycles of a dot product issued twice a cycle."""

FEW_LINES = 4
"""Where a pixel has fewer cache lines for each thread, those that two threads write to decide the time."""


class TiledChoices(ChoiceSpace[Tiling]):
    """Register tiles of the output; a kind says what its loops are."""

    version: ClassVar[int] = 2
    """Since version 2 `shared` is a decision; before, the fewest loops that feed every thread were shared."""
    decisions = Tiling

    @abstractmethod
    def loops(self, workload: Workload) -> TiledLoops:
        """What is tiled."""

    @abstractmethod
    def needs_stage(self, workload: Workload) -> bool:
        """Whether the input is copied before the instruction reads it."""

    def candidates(self, workload: Workload, target: Target) -> list[Tiling]:
        loops = self.loops(workload)
        found = [
            Tiling(rows, columns, blocks, order, shared)
            for rows, columns, blocks in self._tiles(loops)
            for extents in [loops.outer_extents(rows, columns, blocks)]
            for order in distinct_orders(extents)
            for shared in shared_loops(extents, order, target.threads)
        ]
        apart = [tiling for tiling in found if not self._shares_lines(workload, tiling, target.threads)]
        return sorted(apart or found, key=lambda tiling: self.expected_cost(workload, tiling))

    def fits(self, workload: Workload, target: Target, decisions: Tiling) -> bool:
        loops = self.loops(workload)
        extents = {"rows": loops.out_height, "columns": loops.out_width, "blocks": loops.channel_blocks}
        return (
            all(cut_evenly(extent, decisions.sizes[name]) for name, extent in extents.items())
            and loops.fits(decisions.rows, decisions.columns, decisions.blocks, self.dot.registers)
            and decisions.order < len(ORDERS)
            and decisions.shared in (SHARED if target.threads > 1 else (0,))
        )

    def added(self, choice: Choice, workload: Workload, target: Target) -> Mapping[str, int]:
        given = choice.decisions
        sizes = [given.get(name, 0) for name in ("rows", "columns", "blocks")]
        if choice.version > 1 or not all(sizes) or given.get("order", len(ORDERS)) >= len(ORDERS):
            return {}
        extents = self.loops(workload).outer_extents(*sizes)
        return {"shared": shared_loops(extents, given["order"], target.threads)[0]}

    def expected_cost(self, workload: Workload, decisions: Tiling) -> float:
        return tiled_cost.expected_cost(workload, self.dot, self.loops(workload), decisions)

    def features(self, workload: Workload, target: Target, decisions: Tiling) -> list[float]:
        loops, is_staged = self.loops(workload), self.needs_stage(workload)
        return tiled_cost.features(workload, target, self.dot, loops, decisions, is_staged)

    def _tiles(self, loops: TiledLoops) -> list[tuple[int, int, int]]:
        """Register tiles with sums enough, as far as there are any."""
        tiles = loops.tiles(self.dot.registers)
        enough = min(max(map(prod, tiles)) * loops.splits, ENOUGH_SUMS)
        return [tile for tile in tiles if prod(tile) * loops.splits >= enough]

    def _shares_lines(self, workload: Workload, tiling: Tiling, threads: int) -> bool:
        """Whether threads cut up the channels of a pixel inside cache lines, which then wander between their cores.

        The caller's memory starts anywhere, so a cut may be inside a line wherever it is.
        """
        extents = self.loops(workload).outer_extents(tiling.rows, tiling.columns, tiling.blocks)
        names = ORDERS[tiling.order][: tiling.shared]
        is_cut = traits_of(workload).channels_together is not None
        if is_cut or "blocks" not in names or extents["blocks"] == 1:
            return False
        pieces = prod(extents[name] for name in names[: names.index("blocks")])
        bytes_of_thread = workload.out_channels * ITEM_BYTES[workload.out_dtype] / threads
        return pieces < threads and bytes_of_thread < FEW_LINES * CACHE_LINE
