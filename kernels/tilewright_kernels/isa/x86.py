"""x86-64: everything that is true of its paths and of no other architecture's.

Paths without a byte dot product widen to int16 and use pmaddwd, which is exact. Their byte instruction, pmaddubsw,
saturates its int16 sums at full-range inputs, so it is never used.
"""

from tilewright.contract.target import Isa
from tilewright_kernels.isa.architecture import Architecture, Assembly, IsaPath
from tilewright_kernels.isa.dots import Dot, Narrowing, Vectors

X86 = Architecture(
    machine="x86_64",
    triple="x86_64-unknown-linux-gnu",
    data_layout="e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128",
    assembly=Assembly(comment="#", jump=r"j\w+", ends=frozenset({"jmp", "ret", "retq", "ud2"})),
    flags="flags",
    model=(("f", "cpu family"), ("m", "model")),
    pause="@llvm.x86.sse2.pause()",
    futex=202,
)

XMM = Vectors(bits=128, registers=16, operand="%xmm")
YMM = Vectors(
    bits=256,
    registers=16,
    operand="%ymm",
    permute="llvm.x86.avx2.permd",
    narrowing=Narrowing(
        round="llvm.x86.avx.cvt.ps2dq.256",
        pack_words="llvm.x86.avx2.packssdw",
        pack_uint8="llvm.x86.avx2.packuswb",
        pack_int8="llvm.x86.avx2.packsswb",
    ),
)
ZMM = Vectors(
    bits=512,
    registers=32,
    operand="%zmm",
    permute="llvm.x86.avx512.permvar.si.512",
    shuffle="llvm.x86.avx512.pshuf.b.512",
    narrowing=Narrowing(
        round="llvm.x86.avx512.mask.cvtps2dq.512",
        pack_words="llvm.x86.avx512.packssdw.512",
        pack_uint8="llvm.x86.avx512.packuswb.512",
        pack_int8="llvm.x86.avx512.packsswb.512",
        has_masked_round=True,
    ),
)


def vpdpbusd(isa: Isa, vectors: Vectors, instruction: str) -> Dot:
    """Four products of unsigned data and signed weights a lane."""
    return Dot(isa, vectors, 4, "uint8", "int8", instruction, "vpdpbusd", accumulates=True)


def pmaddwd(isa: Isa, vectors: Vectors, instruction: str, mnemonic: str = "vpmaddwd") -> Dot:
    """Two products of 16-bit integers a lane."""
    return Dot(isa, vectors, 2, "int16", "int16", instruction, mnemonic, accumulates=False)


AVX2 = frozenset({"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe"})
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}

PATHS = (
    IsaPath(
        X86,
        vpdpbusd(Isa.AVX512_VNNI, ZMM, "llvm.x86.avx512.vpdpbusd.512"),
        flags=AVX512 | {"avx512_vnni"},
        cpu="x86-64-v4",
        features=("+avx512vnni",),
    ),
    IsaPath(
        X86,
        vpdpbusd(Isa.AVX_VNNI, YMM, "llvm.x86.avx512.vpdpbusd.256"),
        flags=AVX2 | {"avx_vnni"},
        cpu="x86-64-v3",
        features=("+avxvnni",),
    ),
    IsaPath(X86, pmaddwd(Isa.AVX512BW, ZMM, "llvm.x86.avx512.pmaddw.d.512"), flags=AVX512, cpu="x86-64-v4"),
    IsaPath(X86, pmaddwd(Isa.AVX2, YMM, "llvm.x86.avx2.pmadd.wd"), flags=AVX2, cpu="x86-64-v3"),
    IsaPath(X86, pmaddwd(Isa.X86_64, XMM, "llvm.x86.sse2.pmadd.wd", "pmaddwd"), flags=frozenset(), cpu="x86-64"),
)
