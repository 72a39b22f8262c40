# mypy: ignore-errors
"""Vector code in TIR where lanes change places: calls of LLVM intrinsics, shuffles with constant indices."""

from tvm import tirx
from tvm.script import tirx as T

ACROSS = [part + 4 * tap for part in range(4) for tap in range(4)]
INSIDE = [4 * tap + lane for lane in range(4) for tap in range(4)] * 4

PERMUTE = {16: "llvm.x86.avx512.permvar.si.512", 8: "llvm.x86.avx2.permd"}


def llvm(name, dtype, *arguments):
    """A call of an LLVM intrinsic without side effects."""
    return T.call_llvm_pure_intrin(T.llvm_lookup_intrinsic_id(name), *arguments, dtype=dtype)


def constants(dtype, values):
    """A vector of constants."""
    return tirx.Shuffle([tirx.const(value, dtype) for value in values], list(range(len(values))))


def interleaved(pixels, lanes):
    """Four vectors of `lanes` bytes as one: the four bytes of each lane side by side.

    On AVX-512 the four go into one register, then two shuffles: 32-bit elements across its lanes, bytes inside each.
    Left to itself LLVM unpacks pairs of pixels, which takes eleven instructions.
    """
    if lanes != 16:
        return tirx.Shuffle(pixels, [tap * lanes + lane for lane in range(lanes) for tap in range(4)])
    together = T.reinterpret(tirx.Shuffle(pixels, list(range(64))), dtype="int32x16")
    spread = llvm("llvm.x86.avx512.permvar.si.512", "int32x16", together, constants("int32", ACROSS))
    return llvm(
        "llvm.x86.avx512.pshuf.b.512", "uint8x64", T.reinterpret(spread, dtype="uint8x64"), constants("uint8", INSIDE)
    )


def spread(groups, size, first, offset):
    """One 32-bit element of `groups` (`size` bytes) for each lane: element `first[lane]` + `offset`."""
    lanes = len(first)
    wide = T.reinterpret(tirx.Shuffle([groups] * (4 * lanes // size), list(range(4 * lanes))), dtype=f"int32x{lanes}")
    index = constants("int32", first) + T.broadcast(T.cast(offset, "int32"), lanes)
    return T.reinterpret(llvm(PERMUTE[lanes], f"int32x{lanes}", wide, index), dtype=f"uint8x{4 * lanes}")
