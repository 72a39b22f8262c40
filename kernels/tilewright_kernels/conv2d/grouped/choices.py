"""Grouped convolutions of few channels a group, each lane with data of its own: which there are, what can be chosen."""

from math import prod

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.choices import ChoiceSpace
from tilewright_kernels.conv2d.divisors import cut_evenly, divisors
from tilewright_kernels.conv2d.grouped import cost
from tilewright_kernels.conv2d.grouped.tiling import MOST_CHUNK_BYTES, ChunkedTile, LaneShape

MOST_TILE_ROWS = 4
"""Rows share weights, and rows of input: more than four gain little, and make many more choices."""

ENOUGH_SUMS = 4
"""Of a tile, where it can have them: fewer hide too little of the latency."""

SPARE_REGISTERS = 4
"""What data, weights and constants take beside the sums of a tile."""


class GroupedChoices(ChoiceSpace[ChunkedTile]):
    """groups > 1, any channels, multipliers, kernel, stride, dilation, padding and batch."""

    kind = "grouped"
    decisions = ChunkedTile

    def covers(self, workload: Workload, isa: Isa) -> bool:
        return isa is self.isa and workload.groups > 1

    def shape(self, workload: Workload) -> LaneShape:
        return LaneShape.of(workload, self.dot)

    def candidates(self, workload: Workload, target: Target) -> list[ChunkedTile]:
        shape = self.shape(workload)
        found = [
            ChunkedTile(chunk, chunk_rows, rows, groups, block)
            for rows, groups, block in self._tiles(workload, shape)
            for chunk in divisors(shape.blocks)
            if chunk % block == 0
            for chunk_rows in divisors(workload.out_height)
            if chunk_rows % rows == 0 and self._is_sensible(workload, chunk, chunk_rows)
        ]
        return sorted(found, key=lambda tile: self.expected_cost(workload, tile))

    def fits(self, workload: Workload, target: Target, decisions: ChunkedTile) -> bool:
        shape, sizes = self.shape(workload), decisions.sizes
        extents = {"blocks": shape.blocks, "rows": workload.out_height, "groups": shape.groups}
        is_whole = all(cut_evenly(extent, sizes[name]) for name, extent in extents.items())
        tile = decisions.rows, decisions.groups, decisions.blocks
        return is_whole and (tile == (1, 1, 1) or self._fits(shape, *tile))

    def expected_cost(self, workload: Workload, decisions: ChunkedTile) -> float:
        return cost.expected_cost(workload, self.dot, self.shape(workload), decisions)

    def features(self, workload: Workload, target: Target, decisions: ChunkedTile) -> list[float]:
        return cost.features(workload, target, self.dot, self.shape(workload), decisions)

    def _tiles(self, workload: Workload, shape: LaneShape) -> list[tuple[int, int, int]]:
        tiles = [
            (rows, groups, block)
            for rows in divisors(workload.out_height)
            if rows <= MOST_TILE_ROWS
            for groups in divisors(shape.groups)
            for block in divisors(shape.blocks)
            if self._fits(shape, rows, groups, block)
        ]
        if not tiles:
            return [(1, 1, 1)]
        enough = min(max(map(prod, tiles)), ENOUGH_SUMS)
        return [tile for tile in tiles if prod(tile) >= enough]

    def _fits(self, shape: LaneShape, rows: int, groups: int, block: int) -> bool:
        return rows * groups * block * shape.outputs <= self.dot.registers - SPARE_REGISTERS

    def _is_sensible(self, workload: Workload, chunk: int, chunk_rows: int) -> bool:
        """Chunks that fit a cache; and of those with all rows or all channels only, to have fewer to try."""
        shape = self.shape(workload)
        is_smallest = chunk == 1 or chunk_rows == 1
        if chunk < shape.blocks and chunk_rows < workload.out_height:
            return chunk == 1 and chunk_rows == 1
        return is_smallest or shape.staged_bytes(workload, self.dot, chunk, chunk_rows) <= MOST_CHUNK_BYTES
