"""Depthwise convolutions to bytes: which there are, and what can be chosen."""

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.choices import ChoiceSpace
from tilewright_kernels.conv2d.depthwise import cost
from tilewright_kernels.conv2d.depthwise.tiling import ORDERS, Chunking, DepthwiseShape, tile_rows
from tilewright_kernels.conv2d.divisors import cut_evenly, divisors

BYTES = ("uint8", "int8")

MOST_TILE_ROWS = 4
"""Rows share weights, and rows of input: more than four gain little, and make many more choices."""

MOST_INTERLEAVED = 32
"""Rows of k_groups that one row of outputs reads: all of them are unrolled."""

MOST_UNROLLED = 400
"""Dot products in a tile: more take long to compile and fill the instruction cache."""

SPARE_REGISTERS = 8
"""What pixels, weights and constants take beside the sums of a tile."""


class DepthwiseChoices(ChoiceSpace[Chunking]):
    """One input and one output channel a group, results of one byte; any stride, padding, dilation and batch."""

    kind = "depthwise"
    decisions = Chunking

    def covers(self, workload: Workload, isa: Isa) -> bool:
        is_depthwise = workload.in_channels == workload.groups == workload.out_channels > 1
        is_plain = workload.out_dtype in BYTES and not workload.residual
        is_covered = isa is self.isa and is_depthwise and is_plain
        return is_covered and self._is_small(workload) and self._interleaves_little(workload)

    def shape(self, workload: Workload) -> DepthwiseShape:
        return DepthwiseShape.of(workload, self.dot)

    def candidates(self, workload: Workload, target: Target) -> list[Chunking]:
        shape = self.shape(workload)
        found = [
            Chunking(chunk_rows, rows, groups, order)
            for rows, groups in self._tiles(workload, shape)
            for chunk_rows in divisors(workload.out_height)
            if chunk_rows % rows == 0
            for order in self._orders(workload, chunk_rows // rows)
        ]
        shared = [each for each in found if chunks(workload, each.chunk_rows) >= target.threads]
        return sorted(shared or found, key=lambda chunking: self.expected_cost(workload, chunking))

    def fits(self, workload: Workload, target: Target, decisions: Chunking) -> bool:
        shape, sizes = self.shape(workload), decisions.sizes
        extents = {"rows": workload.out_height, "groups": shape.groups}
        is_whole = all(cut_evenly(extent, sizes[name]) for name, extent in extents.items())
        tile = decisions.rows, decisions.groups
        return is_whole and decisions.order < len(ORDERS) and (tile == (1, 1) or self._fits(workload, shape, *tile))

    def expected_cost(self, workload: Workload, decisions: Chunking) -> float:
        return cost.expected_cost(workload, self.shape(workload), decisions)

    def features(self, workload: Workload, target: Target, decisions: Chunking) -> list[float]:
        return cost.features(workload, target, self.shape(workload), decisions)

    def _is_small(self, workload: Workload) -> bool:
        """A kernel that is unrolled whole, with the rows and columns between its taps."""
        shape = self.shape(workload)
        products = shape.sums(1, 1) * workload.kernel_size[0] * shape.k_groups
        return tile_rows(workload, 1) * shape.k_groups <= MOST_INTERLEAVED and products <= MOST_UNROLLED

    def _interleaves_little(self, workload: Workload) -> bool:
        """Several k_groups a row that many outputs share are better made once and stored, as grouped kernels do it."""
        has_one = self.shape(workload).k_groups == 1
        return has_one or workload.stride[1] > 1 or workload.out_channels % self.dot.lanes != 0

    def _orders(self, workload: Workload, row_tiles: int) -> list[int]:
        """Those that differ: without several blocks, or several row tiles, some are the same."""
        if self.shape(workload).blocks == 1:
            return [0]
        return [0, 1] if row_tiles == 1 else [0, 1, 2]

    def _tiles(self, workload: Workload, shape: DepthwiseShape) -> list[tuple[int, int]]:
        tiles = [
            (rows, groups)
            for rows in divisors(workload.out_height)
            if rows <= MOST_TILE_ROWS
            for groups in divisors(shape.groups)
            if self._fits(workload, shape, rows, groups)
        ]
        return tiles or [(1, 1)]

    def _fits(self, workload: Workload, shape: DepthwiseShape, rows: int, groups: int) -> bool:
        sums = shape.sums(rows, groups)
        unrolled = sums * workload.kernel_size[0] * shape.k_groups
        return sums <= self.dot.registers - SPARE_REGISTERS and unrolled <= MOST_UNROLLED


def chunks(workload: Workload, chunk_rows: int) -> int:
    """What threads can share: images times chunks of rows."""
    return workload.batch * workload.out_height // chunk_rows
