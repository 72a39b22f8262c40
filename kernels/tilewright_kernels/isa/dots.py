"""Dot-product instructions: what each ISA path multiplies and sums at once, exactly."""

from dataclasses import dataclass

from tilewright.contract.target import Isa

LANE_BYTES = 16
"""Of a 128-bit lane: unpack and pack instructions work inside each."""


@dataclass(frozen=True)
class Dot:
    """sum[lane] += data[0] * weight[lane, 0] + ..., `products` of them, in int32.

    Paths without a byte dot product widen to int16 and use pmaddwd, which is exact. Their byte instruction,
    pmaddubsw, saturates its int16 sums at full-range inputs, so it is never used.
    """

    isa: Isa
    lanes: int
    products: int
    data_dtype: str
    weight_dtype: str
    instruction: str
    """LLVM's name of it."""
    mnemonic: str
    """Its name in assembly."""
    accumulates: bool
    """Whether the instruction adds to a sum itself; otherwise an addition follows."""
    registers: int
    """Vector registers of the path."""

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
    def has_bytes(self) -> bool:
        """Whether it multiplies bytes as they are: unsigned data by signed weights."""
        return self.data_dtype == "uint8"

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

    @property
    def bits(self) -> int:
        """Width of its registers."""
        return self.lanes * 32


def _bytes(isa: Isa, lanes: int, instruction: str, registers: int) -> Dot:
    return Dot(isa, lanes, 4, "uint8", "int8", instruction, "vpdpbusd", True, registers)


def _words(isa: Isa, lanes: int, instruction: str, mnemonic: str, registers: int) -> Dot:
    return Dot(isa, lanes, 2, "int16", "int16", instruction, mnemonic, False, registers)


DOTS: dict[Isa, Dot] = {
    Isa.AVX512_VNNI: _bytes(Isa.AVX512_VNNI, 16, "llvm.x86.avx512.vpdpbusd.512", 32),
    Isa.AVX_VNNI: _bytes(Isa.AVX_VNNI, 8, "llvm.x86.avx512.vpdpbusd.256", 16),
    Isa.AVX512BW: _words(Isa.AVX512BW, 16, "llvm.x86.avx512.pmaddw.d.512", "vpmaddwd", 32),
    Isa.AVX2: _words(Isa.AVX2, 8, "llvm.x86.avx2.pmadd.wd", "vpmaddwd", 16),
    Isa.X86_64: _words(Isa.X86_64, 4, "llvm.x86.sse2.pmadd.wd", "pmaddwd", 16),
}
