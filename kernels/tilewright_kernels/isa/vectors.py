# mypy: ignore-errors
"""Vector code in TIR where lanes change places: calls of LLVM intrinsics, shuffles with constant indices."""

from tvm import tirx
from tvm.script import tirx as T

from tilewright_kernels.isa.dots import LANE_BYTES

ACROSS = [part + 4 * tap for part in range(4) for tap in range(4)]
INSIDE = [4 * tap + lane for lane in range(4) for tap in range(4)] * 4

CURRENT_ROUNDING = 4

PACK_WORDS = {16: "llvm.x86.avx512.packssdw.512", 8: "llvm.x86.avx2.packssdw"}
PACK_BYTES = {
    ("uint8", 16): "llvm.x86.avx512.packuswb.512",
    ("int8", 16): "llvm.x86.avx512.packsswb.512",
    ("uint8", 8): "llvm.x86.avx2.packuswb",
    ("int8", 8): "llvm.x86.avx2.packsswb",
}
"""By what they give, and by how many 32-bit lanes a vector has."""

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


def places(first, count):
    """`count` neighbouring indices of a buffer, as a load or a store takes them."""
    return T.ramp(first, 1, count) if count > 1 else first


def piece(vector, first, count):
    """`count` neighbouring elements of a vector."""
    return tirx.Shuffle([vector], list(range(first, first + count)))


def quads_of(pixels, count):
    """Four vectors of `count` bytes zipped: the first bytes of all side by side, then the second, in unpack order."""
    low, high = (unpacked(*pair, count, 1) for pair in (pixels[:2], pixels[2:]))
    return [vector for first, second in zip(low, high, strict=True) for vector in unpacked(first, second, count, 2)]


def unpacked(first, second, count, size):
    """Elements of `size` bytes of two vectors in turn: from the low, then the high halves of their 128-bit parts."""
    in_part, elements = 16 // size, count // size
    dtype = f"uint{8 * size}x{elements}"
    pair = [T.reinterpret(vector, dtype=dtype) for vector in (first, second)]
    parts = range(0, elements, in_part)
    return [
        T.reinterpret(
            tirx.Shuffle(pair, [index for part in parts for i in half for index in (part + i, elements + part + i)]),
            dtype=f"uint8x{count}",
        )
        for half in (range(in_part // 2), range(in_part // 2, in_part))
    ]


def narrowed(out_dtype, scaled, lanes, output):
    """Two or four vectors of scaled sums (float32) as one of `out_dtype`, in the order in which packs leave them.

    Two levels of packing with saturation instead of a clamp and a `vpmovdb` for each vector of sums. `min` stays: a
    product above 2^31 would become the most negative integer.
    """
    highest = T.broadcast(T.Cast("float32", output[2]), lanes)
    integers = [rounded(T.min(vector, highest), lanes) for vector in scaled]
    zero_point = T.broadcast(T.Cast("int16", output[0]), 2 * lanes)
    words = [
        llvm(
            f"llvm.sadd.sat.v{2 * lanes}i16",
            f"int16x{2 * lanes}",
            llvm(PACK_WORDS[lanes], f"int16x{2 * lanes}", low, high),
            zero_point,
        )
        for low, high in zip(integers[::2], integers[1::2], strict=True)
    ]
    packed = llvm(PACK_BYTES[out_dtype, lanes], f"int8x{4 * lanes}", words[0], words[-1])
    lowest = T.broadcast(T.Cast(out_dtype, output[0] + output[1]), 4 * lanes)
    return T.max(T.reinterpret(packed, dtype=f"{out_dtype}x{4 * lanes}"), lowest)


def rounded(vector, lanes):
    """float32 to int32, half to even: the rounding that MXCSR is in, which TVM and NumPy leave at its default."""
    if lanes == 8:
        return llvm("llvm.x86.avx.cvt.ps2dq.256", "int32x8", vector)
    return llvm(
        "llvm.x86.avx512.mask.cvtps2dq.512",
        "int32x16",
        vector,
        T.broadcast(T.int32(0), 16),
        T.int16(-1),
        T.int32(CURRENT_ROUNDING),
    )
