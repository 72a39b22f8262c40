"""The hand-written kernels that ours are compared with: optional extras, each imported when it is first used."""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Array, Quantization
from tilewright_kernels.isa.host import this_host


class Runnable(Protocol):
    """One convolution with its constants, ready to run."""

    def bind(self, x: Array, /) -> None:
        """Fix the input of `run`, so that a call copies as little as possible."""

    def run(self) -> object: ...

    def __call__(self, x: Array, /) -> Array:
        """In the workload's layout, as is the result."""


class PeerConv(Runnable, Protocol):
    """A Runnable of a library, made of a workload, its values and the number of threads."""

    def __init__(self, workload: Workload, values: Quantization, threads: int) -> None: ...

    @staticmethod
    def version() -> str: ...


@dataclass(frozen=True)
class Peer:
    """A library: what people call it, and where its PeerConv is."""

    title: str
    module: str
    conv: str

    def load(self) -> type[PeerConv]:
        """Raises ImportError where the library is not installed."""
        conv: type[PeerConv] = getattr(import_module(self.module), self.conv)
        return conv


PEERS = {
    "onnx_runtime": Peer("ONNX Runtime", "tilewright_comparison.peers.onnx_runtime", "OnnxRuntimeConv"),
    "onednn": Peer("oneDNN", "tilewright_comparison.peers.onednn", "OneDnnConv"),
}

ONEDNN_ISA: dict[Isa, str] = {
    Isa.AVX512_VNNI: "AVX512_CORE_VNNI",
    Isa.AVX_VNNI: "AVX2_VNNI",
    Isa.AVX512BW: "AVX512_CORE",
    Isa.AVX2: "AVX2",
    Isa.X86_64: "SSE41",
}


class CannotRestrict(Exception):
    """A peer takes the strongest instructions that it finds, and nothing keeps it from that."""


def environment(peer: str, target: Target) -> dict[str, str]:
    """Variables with which a process of `peer` runs code for `target` at most. Raises CannotRestrict."""
    threads = {"OMP_NUM_THREADS": str(target.threads)}
    if target.isa is this_host().isas[0]:
        return threads
    if peer == "onednn":
        if target.isa not in ONEDNN_ISA:
            raise CannotRestrict(f"ONEDNN_ISA does not say which of its instruction sets is {target.isa}")
        return {**threads, "ONEDNN_MAX_CPU_ISA": ONEDNN_ISA[target.isa]}
    # Its maintainers say so: github.com/microsoft/onnxruntime, issue 12479.
    raise CannotRestrict("it selects its instructions by what the CPU has, and has no switch to restrict them")
