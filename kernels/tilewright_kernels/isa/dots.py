"""Dot-product instructions and the vectors they work on: what each ISA path multiplies and sums at once, exactly."""

from dataclasses import dataclass

from tilewright.contract.target import Isa

SEGMENT_BYTES = 16
"""Of a segment, 128 bits of a vector: packing, unpacking and shuffling of bytes work inside each."""


@dataclass(frozen=True)
class Narrowing:
    """Instructions on the way from float32 to bytes, which saturate. LLVM's names."""

    round: str
    """float32 to int32, half to even; too large ones become the most negative integer."""
    pack_words: str
    """Two vectors of int32 to one of int16, segment by segment."""
    pack_uint8: str
    """Two vectors of int16 to one of uint8, segment by segment."""
    pack_int8: str
    has_masked_round: bool = False
    """Whether `round` also takes a mask, what stands where the mask is 0, and a rounding mode, as AVX-512 has it."""


@dataclass(frozen=True)
class Vectors:
    """The vector registers of a path, and what it can do with them besides arithmetic.

    Instructions by LLVM's names. Where one is None, plain vector code takes its place, or a kind does without.
    """

    bits: int
    registers: int
    operand: str
    """What an operand of this width contains in assembly, and one of another width does not."""
    permute: str | None = None
    """32-bit elements from anywhere in a vector, by a vector of indices."""
    shuffle: str | None = None
    """Bytes from anywhere in the same segment, by a vector of indices."""
    narrowing: Narrowing | None = None

    @property
    def lanes(self) -> int:
        """Sums of 32 bits that a vector holds."""
        return self.bits // 32

    @property
    def bytes(self) -> int:
        return self.bits // 8

    @property
    def segments(self) -> int:
        return self.bytes // SEGMENT_BYTES


@dataclass(frozen=True)
class Dot:
    """sum[lane] += data[0] * weight[lane, 0] + ..., `products` of them, in int32."""

    isa: Isa
    vectors: Vectors
    products: int
    data_dtype: str
    weight_dtype: str
    instruction: str
    """LLVM's name of it."""
    mnemonic: str
    """Its name in assembly."""
    accumulates: bool
    """Whether the instruction adds to a sum itself; otherwise an addition follows."""

    @property
    def lanes(self) -> int:
        return self.vectors.lanes

    @property
    def registers(self) -> int:
        return self.vectors.registers

    @property
    def multiplies_bytes(self) -> bool:
        """Whether it takes bytes; otherwise they are widened first, which holds data of either sign."""
        return self.data_dtype in ("uint8", "int8")

    def data_offset(self, dtype: str) -> int:
        """What is added to data of `dtype`, uint8 or int8, so that the instruction can take them as `data_dtype`.

        Bytes of the other sign move by 128. In 8 bits both directions are the same addition, which wraps.
        """
        if not self.multiplies_bytes or dtype == self.data_dtype:
            return 0
        return 128 if dtype == "int8" else -128

    @property
    def name(self) -> str:
        """Of the tensor intrinsic whose data is the same for all lanes."""
        return f"tilewright_dot_{self.isa.value}"

    @property
    def lane_name(self) -> str:
        """Of the tensor intrinsic whose lanes have data of their own."""
        return f"tilewright_lane_dot_{self.isa.value}"

    @property
    def register_name(self) -> str:
        """The same, of data that are in registers already."""
        return f"tilewright_register_dot_{self.isa.value}"

    @property
    def macs(self) -> int:
        return self.lanes * self.products
