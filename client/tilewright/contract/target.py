"""What code is generated for."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StrictInt

from tilewright.contract.message import Message


class Isa(StrEnum):
    """An instruction set path, named by the instructions that its kernels may use."""

    AVX512_VNNI = "avx512_vnni"
    AVX_VNNI = "avx_vnni"
    AVX512BW = "avx512bw"
    AVX2 = "avx2"
    X86_64 = "x86_64"


ISAS: tuple[Isa, ...] = tuple(Isa)
"""All paths, the strongest first: a host takes the first one that it has."""

MACHINES = ("x86_64",)
"""The architectures of these paths, as `platform.machine()` names them."""

TargetName = Literal["auto", "avx512_vnni", "avx_vnni", "avx512bw", "avx2", "x86_64"]
"""What a job asks for; `auto` is the strongest path of the host that runs the job."""

Threads = Annotated[StrictInt, Field(ge=1, le=256)]


class Target(Message):
    """An ISA path and the number of threads that a kernel runs on."""

    isa: Isa
    threads: Threads = 1

    def __str__(self) -> str:
        return f"{self.isa}, {self.threads} thread{'s' if self.threads > 1 else ''}"
