"""Depthwise convolutions to bytes on a dot-product instruction: pixels are interleaved in registers, tile by tile.

The loop nest, outermost first (`order` permutes the three after the chunk):

    image, row chunk                       copy the rows that the chunk reads, with their padding
      row tile, column tile, channel block
        interleave the pixels of the tile into k_groups, in registers
        kernel row, row, column group, output, vector     unrolled
          one dot-product instruction
        pack the sums of four vectors into one vector of bytes and store it
"""

from tvm.s_tir.schedule import Schedule
from tvm.tirx import PrimFunc

from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.depthwise.choices import DepthwiseChoices
from tilewright_kernels.conv2d.depthwise.definition import depthwise
from tilewright_kernels.conv2d.depthwise.packing import pack_constants
from tilewright_kernels.conv2d.depthwise.tiling import ORDERS, Chunking
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.conv2d.space import StructuredSpace
from tilewright_kernels.schedule.nest import attach, find_nest
from tilewright_kernels.schedule.orders import sample_order
from tilewright_kernels.schedule.parallel import share
from tilewright_kernels.schedule.registers import keep_in_registers, unroll
from tilewright_kernels.schedule.stage import STAGE, share_transposes
from tilewright_kernels.schedule.tiles import split_tiles

REDUCTION = "kh", "q"
SUMS = "h", "g", "b", "o", "j"


class DepthwiseSpace(DepthwiseChoices, StructuredSpace[Chunking]):
    """One input and one output channel a group, results of one byte; any stride, padding, dilation and batch."""

    def define(self, workload: Workload) -> PrimFunc:
        return depthwise(workload, self.dot)

    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        return pack_constants(workload, values, self.dot)

    def schedule(self, sch: Schedule, workload: Workload, target: Target, choice: Chunking | None = None) -> None:
        whole = find_nest(sch, "requantise")
        sizes = {} if choice is None else choice.sizes
        chunk, rows, row = split_tiles(sch, whole["h"], 2, sizes.get("rows"))
        groups, group = split_tiles(sch, whole["g"], 1, sizes.get("groups"))
        loops = {"rows": rows, "groups": groups, "block": whole["b"]}
        outer = [loops[name] for name in sample_order(sch, ORDERS, None if choice is None else choice.order)]
        pixels = row, group, whole["o"]
        sch.reorder(whole["n"], chunk, *outer, *pixels)
        sums = attach(sch, "conv", outer[-1])
        interleaved = attach(sch, "interleave", outer[-1])
        attach(sch, STAGE, chunk)
        if target.threads > 1:
            share(sch, (whole["n"], chunk))
            share_transposes(sch)
        keep_in_registers(sch, sums, REDUCTION, SUMS, self.dot.register_name)
        # Sums and k_groups are values, not memory: every dot product of the tile is written out.
        unroll(sch, [*sums.pick(*REDUCTION), *interleaved.pick("h", "g", "b"), *pixels])
