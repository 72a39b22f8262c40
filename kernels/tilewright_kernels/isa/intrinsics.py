# mypy: ignore-errors
"""Tensor intrinsics: what one instruction of the ISA computes, and how it is called.

TVM ships `dot_16x4_vnni`, but LLVM 22 changed the operand types of the instruction and the shipped body no longer
compiles; every candidate that used it failed, and only scalar code survived. These bodies pass int8 vectors.
"""

import itertools
from functools import cache, partial

from tvm import tirx
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from tilewright.contract.workload import CHANNEL_BLOCK, Workload
from tilewright_kernels.conv2d.epilogue import narrow
from tilewright_kernels.isa.dots import DOTS, Dot
from tilewright_kernels.isa.vectors import PACK_WORDS, llvm, narrowed, piece

NARROWED = ("uint8", "int8")


def multiply_add(dot, total, data, weight):
    """One dot product: vectors of `lanes` sums, and of data and weights, `products` for each lane."""
    sums = f"int32x{dot.lanes}"
    if dot.accumulates:
        return llvm(dot.instruction, sums, total, data, weight)
    return total + llvm(dot.instruction, sums, data, weight)


def _broadcast(dot, data, place=(0,)):
    """The few data of a dot product in every lane: as one 32-bit element, so that a single vpbroadcastd fills it."""
    together = T.reinterpret(data.vload(list(place), f"{dot.data_dtype}x{dot.products}"), dtype="int32")
    return T.reinterpret(T.broadcast(together, dot.lanes), dtype=f"{dot.data_dtype}x{dot.macs}")


def _dot_description(dot):
    lanes, products, data_dtype, weight_dtype = dot.lanes, dot.products, dot.data_dtype, dot.weight_dtype

    @T.prim_func(s_tir=True)
    def description(
        data: T.Buffer((products,), data_dtype, align=1, offset_factor=1),
        weight: T.Buffer((lanes, products), weight_dtype, offset_factor=1),
        total: T.Buffer((lanes,), "int32", offset_factor=1, scope="local"),
    ):
        with T.sblock("root"):
            T.reads(total[0:lanes], data[0:products], weight[0:lanes, 0:products])
            T.writes(total[0:lanes])
            for lane in T.serial(0, lanes):
                for tap in T.serial(0, products):
                    with T.sblock("update"):
                        vl, vt = T.axis.remap("SR", [lane, tap])
                        total[vl] = total[vl] + T.cast(data[vt], "int32") * T.cast(weight[vl, vt], "int32")

    return description


def _dot_implementation(dot):
    lanes, products, data_dtype, weight_dtype = dot.lanes, dot.products, dot.data_dtype, dot.weight_dtype

    @T.prim_func(s_tir=True)
    def implementation(
        data: T.Buffer((products,), data_dtype, align=1, offset_factor=1),
        weight: T.Buffer((lanes, products), weight_dtype, offset_factor=1),
        total: T.Buffer((lanes,), "int32", offset_factor=1, scope="local"),
    ):
        with T.sblock("root"):
            T.reads(total[0:lanes], data[0:products], weight[0:lanes, 0:products])
            T.writes(total[0:lanes])
            total[T.ramp(T.int32(0), 1, lanes)] = multiply_add(
                dot,
                total.vload([0], dtype=f"int32x{lanes}"),
                _broadcast(dot, data),
                weight.vload([0, 0], dtype=f"{weight_dtype}x{dot.macs}"),
            )

    return implementation


def _lane_dot_description(dot, scope):
    lanes, products, data_dtype, weight_dtype = dot.lanes, dot.products, dot.data_dtype, dot.weight_dtype

    @T.prim_func(s_tir=True)
    def description(
        data: T.Buffer((lanes * products,), data_dtype, offset_factor=1, scope=scope),
        weight: T.Buffer((lanes, products), weight_dtype, offset_factor=1),
        total: T.Buffer((lanes,), "int32", offset_factor=1, scope="local"),
    ):
        with T.sblock("root"):
            T.reads(total[0:lanes], data[0 : lanes * products], weight[0:lanes, 0:products])
            T.writes(total[0:lanes])
            for lane in T.serial(0, lanes):
                for tap in T.serial(0, products):
                    with T.sblock("update"):
                        vl, vt = T.axis.remap("SR", [lane, tap])
                        total[vl] = total[vl] + T.cast(data[vl * products + vt], "int32") * T.cast(
                            weight[vl, vt], "int32"
                        )

    return description


def _lane_dot_implementation(dot, scope):
    lanes, products, data_dtype, weight_dtype = dot.lanes, dot.products, dot.data_dtype, dot.weight_dtype

    @T.prim_func(s_tir=True)
    def implementation(
        data: T.Buffer((lanes * products,), data_dtype, offset_factor=1, scope=scope),
        weight: T.Buffer((lanes, products), weight_dtype, offset_factor=1),
        total: T.Buffer((lanes,), "int32", offset_factor=1, scope="local"),
    ):
        with T.sblock("root"):
            T.reads(total[0:lanes], data[0 : lanes * products], weight[0:lanes, 0:products])
            T.writes(total[0:lanes])
            total[T.ramp(T.int32(0), 1, lanes)] = multiply_add(
                dot,
                total.vload([0], dtype=f"int32x{lanes}"),
                data.vload([0], dtype=f"{data_dtype}x{dot.macs}"),
                weight.vload([0, 0], dtype=f"{weight_dtype}x{dot.macs}"),
            )

    return implementation


def narrow_name(workload: Workload, dot: Dot, groups: int) -> str | None:
    """The intrinsic that narrows `groups` vectors of sums, or None where plain vector code has to do it."""
    is_apart = workload.layout == "NCHW16c"
    is_narrow = workload.out_dtype in NARROWED and not workload.residual and groups in (2, 4)
    # Outside NHWC results lie in chunks of sixteen channels, which shorter vectors share.
    has_packs = dot.lanes in PACK_WORDS and (dot.lanes == CHANNEL_BLOCK or workload.layout == "NHWC")
    return _narrow(workload.out_dtype, dot.lanes, groups, is_apart) if is_narrow and has_packs else None


def _narrow(out_dtype: str, lanes: int, groups: int, is_apart: bool) -> str:
    return f"tilewright_narrow_{out_dtype}_{groups}x{lanes}{'_apart' if is_apart else ''}"


def _narrow_together(lanes, groups, out_dtype, body):
    """An intrinsic whose results are side by side."""

    @T.prim_func(s_tir=True)
    def function(
        total: T.Buffer((groups, lanes), "int32", offset_factor=1, scope="local"),
        scale: T.Buffer((groups, lanes), "float32", offset_factor=1),
        output: T.Buffer((3,), "int32", offset_factor=1),
        out: T.Buffer((groups, lanes), out_dtype, align=1, offset_factor=1),
    ):
        with T.sblock("root"):
            T.reads(total[0:groups, 0:lanes], scale[0:groups, 0:lanes], output[0:3])
            T.writes(out[0:groups, 0:lanes])
            body(total, scale, output, out)

    return function


def _narrow_apart(lanes, groups, out_dtype, body):
    """One whose results are as in NCHW16c: sixteen channels lie together, the next sixteen an image further."""

    @T.prim_func(s_tir=True)
    def function(
        total: T.Buffer((groups, lanes), "int32", offset_factor=1, scope="local"),
        scale: T.Buffer((groups, lanes), "float32", offset_factor=1),
        output: T.Buffer((3,), "int32", offset_factor=1),
        out_handle: T.handle,
    ):
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
            body(total, scale, output, out)

    return function


def _narrow_makers(out_dtype, lanes, groups, is_apart):
    """What makes the description and the body of the intrinsic that narrows `groups` vectors."""
    between = [0, 0] if is_apart else []

    def one_by_one(total, scale, output, out):
        @T.inline
        def block():
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

    def at_once(total, scale, output, out):
        values = _in_order(out_dtype, lanes, groups, total, scale, output)
        if not is_apart:
            T.buffer_store(out, values, [0, T.ramp(0, 1, lanes * groups)])
            return
        values = T.bind(values)
        for group in range(groups):
            T.buffer_store(out, piece(values, lanes * group, lanes), [group, 0, 0, T.ramp(0, 1, lanes)])

    make = _narrow_apart if is_apart else _narrow_together
    return tuple(partial(make, lanes, groups, out_dtype, body) for body in (one_by_one, at_once))


def _in_order(out_dtype, lanes, groups, total, scale, output):
    """The packs of `narrowed` work inside 128-bit parts, so a shuffle of 32-bit elements puts the channels in order."""
    order = [4 * part + group for group in range(groups) for part in range(lanes // 4)]
    rows = [_row(total, lanes, group, "float32") * _row(scale, lanes, group) for group in range(groups)]
    packed = narrowed(out_dtype, rows, lanes, output)
    shuffled = tirx.Shuffle([T.reinterpret(packed, dtype=f"int32x{lanes}")], order)
    return T.reinterpret(shuffled, dtype=f"{out_dtype}x{lanes * groups}")


def _row(buffer, lanes, group, as_dtype="float32"):
    vector = buffer.vload([group, 0], dtype=f"{buffer.dtype}x{lanes}")
    return vector if buffer.dtype == as_dtype else T.Cast(f"{as_dtype}x{lanes}", vector)


def _factories():
    """What makes the description and the body of each intrinsic, by name."""
    found = {}
    for dot in DOTS.values():
        found[dot.name] = partial(_dot_description, dot), partial(_dot_implementation, dot)
        for name, scope in ((dot.lane_name, "global"), (dot.register_name, "local")):
            found[name] = partial(_lane_dot_description, dot, scope), partial(_lane_dot_implementation, dot, scope)
    for kind in itertools.product(NARROWED, PACK_WORDS, (2, 4), (False, True)):
        found[_narrow(*kind)] = _narrow_makers(*kind)
    return found


@cache
def require(name: str) -> None:
    """Make an intrinsic known to TVM, once in a process. Parsing one takes 0.1 s, so nobody parses all."""
    describe, implement = _factories()[name]
    TensorIntrin.register(name, describe(), implement(), override=True)


def dot_loop(dot, chains, rounds):
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
    ):
        T.func_attr({"tirx.noalias": True})
        with T.sblock("root"):
            total = T.sblock_alloc_buffer((chains, lanes), "int32", scope="local")
            for chain in T.unroll(chains):
                total[chain, T.ramp(0, 1, lanes)] = T.broadcast(chain, lanes)
            for turn in T.serial(rounds):
                for chain in T.unroll(chains):
                    total[chain, T.ramp(0, 1, lanes)] = multiply_add(
                        dot,
                        total.vload([chain, 0], dtype=f"int32x{lanes}"),
                        _broadcast(dot, data, [turn, 0]),
                        weight.vload([0 if dot.accumulates else chain, 0, 0], dtype=f"{weight_dtype}x{dot.macs}"),
                    )
            for chain in T.unroll(chains):
                out[chain, T.ramp(0, 1, lanes)] = total[chain, T.ramp(0, 1, lanes)]

    return main
