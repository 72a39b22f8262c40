# mypy: disable-error-code="untyped-decorator, valid-type"
"""Tensor intrinsics: what one instruction of the ISA computes, and how it is called.

TVM ships `dot_16x4_vnni`, but LLVM 22 changed the operand types of the instruction and the shipped body no longer
compiles; every candidate that used it failed, and only scalar code survived. These bodies pass int8 vectors.

An intrinsic is one function whose block is filled in twice: element by element, which describes it, and at once.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

from tvm import tirx
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.requantise import narrow
from tilewright_kernels.isa.dots import Dot, Narrowing
from tilewright_kernels.isa.paths import PATHS
from tilewright_kernels.isa.vectors import elements, llvm, narrowed
from tilewright_kernels.layouts.traits import traits_of
from tilewright_kernels.tir import Expr

NARROWED = ("uint8", "int8")
NARROWED_GROUPS = (2, 4)

Fill = Callable[..., None]
"""Writes the block of a function that is being made, given its buffers."""
Makers = tuple[Callable[[], Any], Callable[[], Any]]
"""What makes the description of an intrinsic, and what makes its body."""


@cache
def require(name: str) -> None:
    """Make an intrinsic known to TVM, once in a process. Parsing one takes 0.1 s, so nobody parses all."""
    describe, implement = _makers()[name]
    TensorIntrin.register(name, describe(), implement(), override=True)


@cache
def _makers() -> dict[str, Makers]:
    """Of each intrinsic, by name."""
    return {name: makers for path in PATHS.values() for name, makers in _makers_of(path.dot).items()}


def _makers_of(dot: Dot) -> dict[str, Makers]:
    found = {
        dot.name: _dot_makers(dot, "global", is_shared=True),
        dot.lane_name: _dot_makers(dot, "global", is_shared=False),
        dot.register_name: _dot_makers(dot, "local", is_shared=False),
    }
    narrowing = dot.vectors.narrowing
    if narrowing is not None:
        for kind in itertools.product(NARROWED, NARROWED_GROUPS, (False, True)):
            found[_narrow_name(dot, *kind)] = _narrow_makers(narrowing, dot.lanes, *kind)
    return found


def narrow_name(workload: Workload, dot: Dot, groups: int) -> str | None:
    """The intrinsic that narrows `groups` vectors of sums, or None where plain vector code has to do it."""
    traits = traits_of(workload)
    is_narrow = workload.out_dtype in NARROWED and not workload.residual and groups in NARROWED_GROUPS
    # Shorter vectors share a chunk, and then they do not lie as the intrinsic has them.
    fills_chunks = traits.result_chunk in (None, dot.lanes)
    has_instructions = dot.vectors.narrowing is not None and fills_chunks
    return _narrow_name(dot, workload.out_dtype, groups, traits.is_chunked) if is_narrow and has_instructions else None


def _narrow_name(dot: Dot, out_dtype: str, groups: int, is_apart: bool) -> str:
    return f"tilewright_narrow_{dot.isa.value}_{out_dtype}_{groups}{'_apart' if is_apart else ''}"


def multiply_add(dot: Dot, total: Expr, data: Expr, weight: Expr) -> Expr:
    """One dot product: vectors of `lanes` sums, and of data and weights, `products` for each lane."""
    sums = f"int32x{dot.lanes}"
    if dot.accumulates:
        return llvm(dot.instruction, sums, total, data, weight)
    return total + llvm(dot.instruction, sums, data, weight)


def _broadcast(dot: Dot, data: Any, first: Sequence[Any] = (0,)) -> Expr:
    """The few data of a dot product in every lane: as one 32-bit element, so that a single vpbroadcastd fills it."""
    together = T.reinterpret(data.vload(list(first), f"{dot.data_dtype}x{dot.products}"), dtype="int32")
    return T.reinterpret(T.broadcast(together, dot.lanes), dtype=f"{dot.data_dtype}x{dot.macs}")


def _dot_makers(dot: Dot, scope: str, is_shared: bool) -> Makers:
    """One dot product; `is_shared` where all lanes have the same data."""
    lanes, products = dot.lanes, dot.products
    size, align, stride = (products, 1, 0) if is_shared else (dot.macs, 0, products)

    def one_by_one(data: Any, weight: Any, total: Any) -> None:
        @T.inline
        def block() -> None:
            for lane in T.serial(0, lanes):
                for tap in T.serial(0, products):
                    with T.sblock("update"):
                        vl, vt = T.axis.remap("SR", [lane, tap])
                        total[vl] = total[vl] + T.cast(data[vl * stride + vt], "int32") * T.cast(
                            weight[vl, vt], "int32"
                        )

        block()

    def at_once(data: Any, weight: Any, total: Any) -> None:
        sums = total.vload([0], dtype=f"int32x{lanes}")
        operand = _broadcast(dot, data) if is_shared else data.vload([0], dtype=f"{dot.data_dtype}x{dot.macs}")
        weights = weight.vload([0, 0], dtype=f"{dot.weight_dtype}x{dot.macs}")
        T.buffer_store(total, multiply_add(dot, sums, operand, weights), [T.ramp(T.int32(0), 1, lanes)])

    make = partial(_dot_function, dot, size, align, scope)
    return partial(make, one_by_one), partial(make, at_once)


def _dot_function(dot: Dot, size: int, align: int, scope: str, fill: Fill) -> Any:
    lanes, products, data_dtype, weight_dtype = dot.lanes, dot.products, dot.data_dtype, dot.weight_dtype

    @T.prim_func(s_tir=True)
    def function(
        data: T.Buffer((size,), data_dtype, align=align, offset_factor=1, scope=scope),
        weight: T.Buffer((lanes, products), weight_dtype, offset_factor=1),
        total: T.Buffer((lanes,), "int32", offset_factor=1, scope="local"),
    ) -> None:
        with T.sblock("root"):
            T.reads(total[0:lanes], data[0:size], weight[0:lanes, 0:products])
            T.writes(total[0:lanes])
            fill(data, weight, total)

    return function


def _narrow_makers(narrowing: Narrowing, lanes: int, out_dtype: str, groups: int, is_apart: bool) -> Makers:
    """The sums of `groups` vectors, scaled and narrowed to `out_dtype`."""
    between = [0, 0] if is_apart else []

    def one_by_one(total: Any, scale: Any, output: Any, out: Any) -> None:
        @T.inline
        def block() -> None:
            for group in T.serial(0, groups):
                for lane in T.serial(0, lanes):
                    with T.sblock("narrow"):
                        vg, vl = T.axis.remap("SS", [group, lane])
                        T.buffer_store(
                            out,
                            narrow(out_dtype, T.Cast("float32", total[vg, vl]) * scale[vg, vl], output),
                            [vg, *between, vl],
                        )

        block()

    def at_once(total: Any, scale: Any, output: Any, out: Any) -> None:
        scaled = [
            T.Cast(f"float32x{lanes}", total.vload([group, 0], dtype=f"int32x{lanes}"))
            * scale.vload([group, 0], dtype=f"float32x{lanes}")
            for group in range(groups)
        ]
        values = _in_order(narrowed(narrowing, out_dtype, scaled, output), lanes, groups)
        if not is_apart:
            T.buffer_store(out, values, [0, T.ramp(0, 1, lanes * groups)])
            return
        values = T.bind(values)
        for group in range(groups):
            T.buffer_store(out, elements(values, lanes * group, lanes), [group, 0, 0, T.ramp(0, 1, lanes)])

    make = partial(_narrow_apart if is_apart else _narrow_together, lanes, groups, out_dtype)
    return partial(make, one_by_one), partial(make, at_once)


def _in_order(packed: Expr, lanes: int, groups: int) -> Expr:
    """The packs of `narrowed` work inside segments, so a shuffle of 32-bit elements puts the channels in order."""
    order = [4 * segment + group for group in range(groups) for segment in range(lanes // 4)]
    shuffled = tirx.Shuffle([T.reinterpret(packed, dtype=f"int32x{lanes}")], order)
    return T.reinterpret(shuffled, dtype=packed.ty.dtype.with_lanes(lanes * groups))


def _narrow_together(lanes: int, groups: int, out_dtype: str, fill: Fill) -> Any:
    """An intrinsic whose results are side by side."""

    @T.prim_func(s_tir=True)
    def function(
        total: T.Buffer((groups, lanes), "int32", offset_factor=1, scope="local"),
        scale: T.Buffer((groups, lanes), "float32", offset_factor=1),
        output: T.Buffer((3,), "int32", offset_factor=1),
        out: T.Buffer((groups, lanes), out_dtype, align=1, offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(total[0:groups, 0:lanes], scale[0:groups, 0:lanes], output[0:3])
            T.writes(out[0:groups, 0:lanes])
            fill(total, scale, output, out)

    return function


def _narrow_apart(lanes: int, groups: int, out_dtype: str, fill: Fill) -> Any:
    """One whose results are as in NCHW16c: sixteen channels lie together, the next sixteen an image further."""

    @T.prim_func(s_tir=True)
    def function(
        total: T.Buffer((groups, lanes), "int32", offset_factor=1, scope="local"),
        scale: T.Buffer((groups, lanes), "float32", offset_factor=1),
        output: T.Buffer((3,), "int32", offset_factor=1),
        out_handle: T.handle,
    ) -> None:
        group_stride, row_stride, column_stride = T.int32(), T.int32(), T.int32()
        out = T.match_buffer(
            out_handle,
            (groups, 1, 1, lanes),
            out_dtype,
            strides=[group_stride, row_stride, column_stride, 1],
            align=1,
            offset_factor=1,
        )
        with T.sblock("root"):
            T.reads(total[0:groups, 0:lanes], scale[0:groups, 0:lanes], output[0:3])
            T.writes(out[0:groups, 0, 0, 0:lanes])
            fill(total, scale, output, out)

    return function


def dot_loop(dot: Dot, chains: int, rounds: int) -> Any:
    """A function that does nothing but dot products: `chains` independent sums, `rounds` products each.

    The data change from round to round. Where adding is an instruction of its own the weights change from chain to
    chain too, or the product would be computed once for all chains.
    """
    lanes, products, data_dtype, weight_dtype = dot.lanes, dot.products, dot.data_dtype, dot.weight_dtype

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer((rounds, products), data_dtype),
        weight: T.Buffer((chains, lanes, products), weight_dtype),
        out: T.Buffer((chains, lanes), "int32"),
    ) -> None:
        T.func_attr({"tirx.noalias": True})
        with T.sblock("root"):
            total = T.sblock_alloc_buffer((chains, lanes), "int32", scope="local")
            for chain in T.unroll(chains):
                total[chain, T.ramp(0, 1, lanes)] = T.broadcast(chain, lanes)
            for step in T.serial(rounds):
                for chain in T.unroll(chains):
                    total[chain, T.ramp(0, 1, lanes)] = multiply_add(
                        dot,
                        total.vload([chain, 0], dtype=f"int32x{lanes}"),
                        _broadcast(dot, data, [step, 0]),
                        weight.vload([0 if dot.accumulates else chain, 0, 0], dtype=f"{weight_dtype}x{dot.macs}"),
                    )
            for chain in T.unroll(chains):
                out[chain, T.ramp(0, 1, lanes)] = total[chain, T.ramp(0, 1, lanes)]

    return main
