"""Vector code in TIR where bytes change places: calls of LLVM intrinsics, shuffles with constant indices."""

from collections.abc import Iterator, Sequence
from typing import Any

from tvm import tirx
from tvm.script import tirx as T

from tilewright_kernels.isa.dots import SEGMENT_BYTES, Narrowing, Vectors
from tilewright_kernels.tir import Expr

CURRENT_ROUNDING = 4


def llvm(name: str, dtype: str, *arguments: Any) -> Expr:
    """A call of an LLVM intrinsic without side effects."""
    return T.call_llvm_pure_intrin(T.llvm_lookup_intrinsic_id(name), *arguments, dtype=dtype)


def constants(dtype: str, values: Sequence[int]) -> Expr:
    """A vector of constants."""
    return tirx.Shuffle([tirx.const(value, dtype) for value in values], list(range(len(values))))


def indices(first: Any, count: int) -> Any:
    """`count` neighbouring indices of a buffer, as a load or a store takes them."""
    return T.ramp(first, 1, count) if count > 1 else first


def elements(vector: Expr, first: int, count: int) -> Expr:
    """`count` neighbouring elements of a vector."""
    return tirx.Shuffle([vector], list(range(first, first + count)))


def interleaved(vectors: Vectors, rows: Sequence[Expr]) -> Expr:
    """Four vectors of as many bytes as there are lanes as one: the four bytes of each lane side by side.

    Where there are instructions for it, the four go into one register, then two shuffles: 32-bit elements across its
    segments, bytes inside each. Left to itself LLVM unpacks pairs of rows, which takes eleven instructions on AVX-512.
    """
    lanes, dtype = vectors.lanes, rows[0].ty.dtype.with_lanes(vectors.bytes)
    if vectors.permute is None or vectors.shuffle is None:
        return tirx.Shuffle(rows, [byte * lanes + lane for lane in range(lanes) for byte in range(4)])
    across = [segment + vectors.segments * byte for segment in range(vectors.segments) for byte in range(4)]
    inside = [4 * byte + lane for lane in range(4) for byte in range(4)] * vectors.segments
    together = T.reinterpret(tirx.Shuffle(rows, list(range(vectors.bytes))), dtype=f"int32x{lanes}")
    permuted = llvm(vectors.permute, f"int32x{lanes}", together, constants("int32", across))
    return llvm(vectors.shuffle, dtype, T.reinterpret(permuted, dtype=dtype), constants("uint8", inside))


def spread(permute: str, groups: Expr, first: Sequence[int], offset: Any) -> Expr:
    """One 32-bit element of `groups` for each lane, by an instruction that permutes: `first[lane]` + `offset`."""
    lanes, dtype = len(first), groups.ty.dtype
    copies = tirx.Shuffle([groups] * (4 * lanes // dtype.lanes), list(range(4 * lanes)))
    index = constants("int32", first) + T.broadcast(T.cast(offset, "int32"), lanes)
    permuted = llvm(permute, f"int32x{lanes}", T.reinterpret(copies, dtype=f"int32x{lanes}"), index)
    return T.reinterpret(permuted, dtype=dtype.with_lanes(4 * lanes))


def transposed(rows: Sequence[Expr], segments: int) -> list[Expr]:
    """The transpose of each segment of `rows`, a power of two of vectors: the elements column after column.

    Each step interleaves the first half of the vectors with the second one by the unpack instructions that every ISA
    path has. Vectors shorter than a segment grow until they fill it.
    """
    found = list(rows)
    for _ in range(len(rows).bit_length() - 1):
        half = len(found) // 2
        pairs = zip(found[:half], found[half:], strict=True)
        found = [T.bind(each) for low, high in pairs for each in interleaved_pair(low, high, segments)]
    return found


def interleaved_pair(low: Expr, high: Expr, segments: int) -> Iterator[Expr]:
    """Elements of two vectors by turns, segment by segment: one vector where they fit, if not low and high halves."""
    dtype = low.ty.dtype
    count = dtype.lanes // segments
    grows = 2 * count * dtype.bits <= 8 * SEGMENT_BYTES
    size = count if grows else count // 2
    for first in (0,) if grows else (0, size):
        chosen = [segment * count + first + at for segment in range(segments) for at in range(size)]
        order = [index for each in chosen for index in (each, dtype.lanes + each)]
        yield tirx.Shuffle([low, high], order)


def interleaved_in_segments(rows: Sequence[Expr]) -> list[Expr]:
    """Four whole vectors of bytes as four of 32-bit groups, each group one byte of every row; in unpack order.

    Vector j has, of each segment, the bytes 4 * j to 4 * j + 3.
    """
    dtype = rows[0].ty.dtype
    segments = dtype.lanes // SEGMENT_BYTES
    found = []
    for pair in zip(
        interleaved_pair(rows[0], rows[1], segments), interleaved_pair(rows[2], rows[3], segments), strict=True
    ):
        first, second = (T.reinterpret(each, dtype=f"uint16x{dtype.lanes // 2}") for each in pair)
        found += [T.reinterpret(each, dtype=dtype) for each in interleaved_pair(first, second, segments)]
    return found


def narrowed(narrowing: Narrowing, out_dtype: str, scaled: Sequence[Expr], output: Any) -> Expr:
    """Two or four vectors of scaled sums (float32) as one of `out_dtype`, in the order in which packs leave them.

    Two levels of packing with saturation instead of a clamp and a `vpmovdb` for each vector of sums. `min` stays: a
    product above 2^31 would become the most negative integer.
    """
    lanes = scaled[0].ty.dtype.lanes
    highest = T.broadcast(T.Cast("float32", output[2]), lanes)
    integers = [rounded(narrowing, T.min(vector, highest)) for vector in scaled]
    zero_point = T.broadcast(T.Cast("int16", output[0]), 2 * lanes)
    words = [
        llvm(
            f"llvm.sadd.sat.v{2 * lanes}i16",
            f"int16x{2 * lanes}",
            llvm(narrowing.pack_words, f"int16x{2 * lanes}", low, high),
            zero_point,
        )
        for low, high in zip(integers[::2], integers[1::2], strict=True)
    ]
    pack = {"uint8": narrowing.pack_uint8, "int8": narrowing.pack_int8}[out_dtype]
    packed = llvm(pack, f"int8x{4 * lanes}", words[0], words[-1])
    lowest = T.broadcast(T.Cast(out_dtype, output[0] + output[1]), 4 * lanes)
    return T.max(T.reinterpret(packed, dtype=f"{out_dtype}x{4 * lanes}"), lowest)


def rounded(narrowing: Narrowing, vector: Expr) -> Expr:
    """float32 to int32, half to even: the rounding that MXCSR is in, which TVM and NumPy leave at its default."""
    lanes = vector.ty.dtype.lanes
    if not narrowing.has_masked_round:
        return llvm(narrowing.round, f"int32x{lanes}", vector)
    return llvm(
        narrowing.round,
        f"int32x{lanes}",
        vector,
        T.broadcast(T.int32(0), lanes),
        tirx.const(-1, f"int{lanes}"),
        T.int32(CURRENT_ROUNDING),
    )
