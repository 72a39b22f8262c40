"""ISA paths: what a host can run, and what LLVM is asked to generate for each."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tilewright.contract.target import ISAS, Isa


@dataclass(frozen=True)
class IsaPath:
    """One path: the /proc/cpuinfo flags it needs, and the LLVM cpu and features it is generated with."""

    flags: frozenset[str]
    cpu: str
    features: tuple[str, ...] = ()


_AVX2 = frozenset({"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe"})
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}

# Generic cpus rather than the host's own: a schedule then gives the same code on every machine of the path,
# and 512-bit vectors are not halved as the tuning of some Intel cpus would have it.
PATHS: dict[Isa, IsaPath] = {
    Isa.AVX512_VNNI: IsaPath(_AVX512 | {"avx512_vnni"}, "x86-64-v4", ("+avx512vnni",)),
    Isa.AVX_VNNI: IsaPath(_AVX2 | {"avx_vnni"}, "x86-64-v3", ("+avxvnni",)),
    Isa.AVX512BW: IsaPath(_AVX512, "x86-64-v4"),
    Isa.AVX2: IsaPath(_AVX2, "x86-64-v3"),
    Isa.X86_64: IsaPath(frozenset(), "x86-64"),
}


@cache
def host_isas() -> tuple[Isa, ...]:
    """The paths that this machine can run, the strongest first."""
    flags = cpu_flags()
    return tuple(isa for isa in ISAS if PATHS[isa].flags <= flags)


@cache
def cpu_flags() -> frozenset[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
