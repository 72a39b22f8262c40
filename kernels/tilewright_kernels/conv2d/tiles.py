"""The blocks of kernels whose output is cut into register tiles: dense ones and those of few channels."""

from collections.abc import Callable

from tvm import tirx
from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.channels import stores_blocks
from tilewright_kernels.conv2d.epilogue import Epilogue
from tilewright_kernels.conv2d.signature import Arguments
from tilewright_kernels.conv2d.tiling import TiledLoops
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.tir import Buffer, Expr, accumulate, allocate, inline

Read = Callable[..., Expr]


def multiply(loops: TiledLoops, kernel: tuple[int, int], dot: Dot, data: Read, weight: Read, bias: Buffer) -> Buffer:
    """Block `conv`; gives the sums: (image, group, row, column, split, block, lane), which `sum_splits` reads.

    `data(n, h, w, g, kh, kw, q, i)` is what the output pixel at (h, w) multiplies, `weight(g, b, kh, kw, q, lane, i)`
    by what; `q` counts k_groups, which the splits take in turn.
    """
    N, G, OH, OW, (KH, KW) = loops.batch, loops.groups, loops.out_height, loops.out_width, kernel
    SPLITS, BLOCKS, LANES, K = loops.splits, loops.channel_blocks, loops.lanes, dot.products
    total = allocate("total", (N, G, OH, OW, SPLITS, BLOCKS, LANES), "int32", scope="local")

    def first(g: Expr, b: Expr, split: Expr, lane: Expr) -> Expr:
        """The bias is in one of the splits."""
        return bias[g, b, lane] if SPLITS == 1 else T.if_then_else(split == 0, bias[g, b, lane], 0)

    @inline
    def block() -> None:
        for n, g, h, w, split, b, lane, kh, kw, q, i in T.grid(
            N, G, OH, OW, SPLITS, BLOCKS, LANES, KH, KW, loops.k_groups // SPLITS, K
        ):
            with T.sblock("conv"):
                vn, vg, vh, vw, vs, vb, vl, vkh, vkw, vq, vi = T.axis.remap(
                    "SSSSSSSRRRR", [n, g, h, w, split, b, lane, kh, kw, q, i]
                )
                accumulate(
                    total[vn, vg, vh, vw, vs, vb, vl],
                    first(vg, vb, vs, vl),
                    data(vn, vh, vw, vg, vkh, vkw, vq * SPLITS + vs, vi),
                    weight(vg, vb, vkh, vkw, vq * SPLITS + vs, vl, vi),
                )

    block()
    return total


def sum_splits(loops: TiledLoops, total: Buffer, n: Expr, h: Expr, w: Expr, g: Expr, b: Expr, lane: Expr) -> Expr:
    first, *others = (total[n, g, h, w, split, b, lane] for split in range(loops.splits))
    return sum(others, first)


def finish(
    workload: Workload, loops: TiledLoops, dot: Dot, results: Activations, total: Buffer, given: Arguments
) -> None:
    """Block `requantise`, whose results are stored as they are where they fill blocks, and else by block `store`."""
    epilogue = Epilogue(workload, results, given)
    if stores_blocks(workload, dot):
        requantise(loops, epilogue, total, given.scale, epilogue.result, results.block, results.block)
    else:
        shape = loops.batch, loops.groups, loops.out_height, loops.out_width, loops.channel_blocks, loops.lanes
        blocks = allocate("blocks", shape, workload.out_dtype, scope="local")

        def in_blocks(n: Expr, h: Expr, w: Expr, g: Expr, b: Expr, lane: Expr) -> list[Expr]:
            return [n, g, h, w, b, lane]

        def channel(n: Expr, h: Expr, w: Expr, g: Expr, b: Expr, lane: Expr) -> Expr:
            return results.element(n, h, w, g, tirx.min(b * loops.lanes + lane, results.channels - 1))

        requantise(loops, epilogue, total, given.scale, blocks, in_blocks, channel)
        store(loops, results, blocks, epilogue.result)
    epilogue.finish()


def requantise(
    loops: TiledLoops, epilogue: Epilogue, total: Buffer, scale: Buffer, out: Buffer, index: Read, residual_index: Read
) -> None:
    N, G, OH, OW = loops.batch, loops.groups, loops.out_height, loops.out_width

    def result(scale: Expr, *position: Expr) -> Expr:
        return epilogue.element(sum_splits(loops, total, *position), scale, residual_index(*position))

    @inline
    def block() -> None:
        for n, g, h, w, b, lane in T.grid(N, G, OH, OW, loops.channel_blocks, loops.lanes):
            with T.sblock("requantise"):
                vn, vg, vh, vw, vb, vl = T.axis.remap("SSSSSS", [n, g, h, w, b, lane])
                T.buffer_store(out, result(scale[vg, vb, vl], vn, vh, vw, vg, vb, vl), index(vn, vh, vw, vg, vb, vl))

    block()


def store(loops: TiledLoops, results: Activations, blocks: Buffer, out: Buffer) -> None:
    """The channels that there are."""
    LANES = loops.lanes

    @inline
    def block() -> None:
        for n, g, h, w, c in T.grid(loops.batch, loops.groups, loops.out_height, loops.out_width, results.channels):
            with T.sblock("store"):
                vn, vg, vh, vw, vc = T.axis.remap("SSSSS", [n, g, h, w, c])
                T.buffer_store(
                    out, blocks[vn, vg, vh, vw, vc // LANES, vc % LANES], results.element(vn, vh, vw, vg, vc)
                )

    block()
