# mypy: ignore-errors
"""Tensor intrinsics: what one instruction of the ISA computes, and how it is called.

TVM ships `dot_16x4_vnni`, but LLVM 22 changed the operand types of the instruction and the shipped body no longer
compiles; every candidate that used it failed, and only scalar code survived. These bodies pass int8 vectors.
"""

from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from tilewright.contract.target import Isa

DOT = {Isa.AVX512_VNNI: "tilewright_vpdpbusd_512", Isa.AVX_VNNI: "tilewright_vpdpbusd_256"}
"""sum[lane] += dot(u8 data[4], s8 weight[lane, 4]): one `vpdpbusd`, 16 or 8 lanes."""

LANES = {Isa.AVX512_VNNI: 16, Isa.AVX_VNNI: 8}

INSTRUCTIONS = {
    Isa.AVX512_VNNI: "llvm.x86.avx512.vpdpbusd.512",
    Isa.AVX_VNNI: "llvm.x86.avx512.vpdpbusd.256",
}


def _dot_description(lanes):
    @T.prim_func(s_tir=True)
    def description(
        data: T.Buffer((4,), "uint8", align=1, offset_factor=1),
        weight: T.Buffer((lanes, 4), "int8", offset_factor=1),
        total: T.Buffer((lanes,), "int32", offset_factor=1, scope="local"),
    ):
        with T.sblock("root"):
            T.reads(total[0:lanes], data[0:4], weight[0:lanes, 0:4])
            T.writes(total[0:lanes])
            for lane in T.serial(0, lanes):
                for tap in T.serial(0, 4):
                    with T.sblock("update"):
                        vl, vt = T.axis.remap("SR", [lane, tap])
                        total[vl] = total[vl] + T.cast(data[vt], "int32") * T.cast(weight[vl, vt], "int32")

    return description


def _dot_implementation(lanes, instruction):
    sums, bytes_, signed = f"int32x{lanes}", f"uint8x{lanes * 4}", f"int8x{lanes * 4}"

    @T.prim_func(s_tir=True)
    def implementation(
        data: T.Buffer((4,), "uint8", align=1, offset_factor=1),
        weight: T.Buffer((lanes, 4), "int8", offset_factor=1),
        total: T.Buffer((lanes,), "int32", offset_factor=1, scope="local"),
    ):
        with T.sblock("root"):
            T.reads(total[0:lanes], data[0:4], weight[0:lanes, 0:4])
            T.writes(total[0:lanes])
            # The four data bytes become one 32-bit element so that a single vpbroadcastd fills the vector.
            total[T.ramp(T.int32(0), 1, lanes)] = T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id(instruction),
                total.vload([0], dtype=sums),
                T.reinterpret(
                    T.broadcast(T.reinterpret(data.vload([0], "uint8x4"), dtype="int32"), lanes), dtype=bytes_
                ),
                weight.vload([0, 0], dtype=signed),
                dtype=sums,
            )

    return implementation


def register() -> None:
    """Make the intrinsics known to TVM; whatever replays a trace in this process needs them. Idempotent."""
    for isa, instruction in INSTRUCTIONS.items():
        lanes = LANES[isa]
        TensorIntrin.register(DOT[isa], _dot_description(lanes), _dot_implementation(lanes, instruction), override=True)


def dot_loop(lanes, chains, rounds):
    """A function that does nothing but dot products: `chains` independent sums, `rounds` products each."""
    isa = next(isa for isa, count in LANES.items() if count == lanes)
    instruction = INSTRUCTIONS[isa]
    sums, bytes_, signed = f"int32x{lanes}", f"uint8x{lanes * 4}", f"int8x{lanes * 4}"

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer((4,), "uint8"), weight: T.Buffer((lanes, 4), "int8"), out: T.Buffer((chains, lanes), "int32")
    ):
        T.func_attr({"tirx.noalias": True})
        with T.sblock("root"):
            total = T.sblock_alloc_buffer((chains, lanes), "int32", scope="local")
            for chain in T.unroll(chains):
                total[chain, T.ramp(0, 1, lanes)] = T.broadcast(chain, lanes)
            for _ in T.serial(rounds):
                for chain in T.unroll(chains):
                    total[chain, T.ramp(0, 1, lanes)] = T.call_llvm_pure_intrin(
                        T.llvm_lookup_intrinsic_id(instruction),
                        total.vload([chain, 0], dtype=sums),
                        T.reinterpret(
                            T.broadcast(T.reinterpret(data.vload([0], "uint8x4"), dtype="int32"), lanes), dtype=bytes_
                        ),
                        weight.vload([0, 0], dtype=signed),
                        dtype=sums,
                    )
            for chain in T.unroll(chains):
                out[chain, T.ramp(0, 1, lanes)] = total[chain, T.ramp(0, 1, lanes)]

    return main
