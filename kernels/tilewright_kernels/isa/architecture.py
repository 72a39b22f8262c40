"""What the rest of the kernels has to know of an architecture, and of each of its paths."""

from dataclasses import dataclass

from tilewright.contract.target import Isa
from tilewright_kernels.isa.dots import Dot


@dataclass(frozen=True)
class Assembly:
    """How LLVM writes its instructions, as far as it takes to find the loops of a function."""

    comment: str
    """What begins a comment."""
    jump: str
    """A regular expression of the instructions that may go on at a label, which is their last operand."""
    ends: frozenset[str]
    """Instructions after which the next one never follows."""


@dataclass(frozen=True)
class Architecture:
    """A family of processors that understand the same code, but for instructions that some do not have."""

    machine: str
    """Its name in `platform.machine()`."""
    triple: str
    """LLVM's name of it, with Linux."""
    data_layout: str
    """LLVM's, of the triple."""
    assembly: Assembly
    flags: str
    """The line of /proc/cpuinfo that names what a processor has."""
    model: tuple[tuple[str, str], ...]
    """The lines of /proc/cpuinfo that tell a model from others, each with its letter in a host class."""
    pause: str
    """What a thread does while it spins, so that it takes nothing from others: a call in LLVM IR."""
    futex: int
    """The number of Linux's system call."""


@dataclass(frozen=True)
class IsaPath:
    """The instructions that a kernel may use: what a host has to have, and what LLVM generates for it.

    `cpu` is a generic one rather than a host's own: a schedule then gives the same code on every machine of the path,
    and 512-bit vectors are not halved as the tuning of some Intel cpus would have it.
    """

    architecture: Architecture
    dot: Dot
    flags: frozenset[str]
    """Those that /proc/cpuinfo has to show."""
    cpu: str
    """LLVM's name."""
    features: tuple[str, ...] = ()
    """Those that `cpu` does not have."""

    @property
    def isa(self) -> Isa:
        return self.dot.isa
