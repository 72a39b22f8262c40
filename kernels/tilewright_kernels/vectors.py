# mypy: ignore-errors
"""Vector code in TIR where lanes change places: calls of LLVM intrinsics, shuffles with constant indices."""

from tvm import tirx
from tvm.script import tirx as T

ACROSS = [part + 4 * tap for part in range(4) for tap in range(4)]
INSIDE = [4 * tap + lane for lane in range(4) for tap in range(4)] * 4

LANE_BYTES = 16
"""Of a 128-bit lane: unpack instructions work inside each."""

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


def transposed(rows, lanes):
    """The transpose of each 128-bit lane of `rows`, a power of two of vectors: the elements column after column.

    Each step interleaves the first half of the vectors with the second one by the unpack instructions that every ISA
    path has. Vectors shorter than a lane grow until they fill it.
    """
    for _ in range(len(rows).bit_length() - 1):
        half = len(rows) // 2
        rows = [each for pair in zip(rows[:half], rows[half:], strict=True) for each in _unpacked(*pair, lanes)]
    return rows


def _unpacked(low, high, lanes):
    """The elements of two vectors in turns: one vector where they fit a lane, the low and the high halves if not."""
    dtype = low.ty.dtype
    count = dtype.lanes // lanes
    grows = 2 * count * dtype.bits <= 8 * LANE_BYTES
    size = count if grows else count // 2
    for first in (0,) if grows else (0, size):
        places = [lane * count + first + at for lane in range(lanes) for at in range(size)]
        order = [index for place in places for index in (place, dtype.lanes + place)]
        yield T.bind(tirx.Shuffle([low, high], order))


def piece(vector, first, count):
    """`count` neighbouring elements of a vector."""
    return tirx.Shuffle([vector], list(range(first, first + count)))
