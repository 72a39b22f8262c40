"""The ISA paths there are, and which of them this host can run."""

import platform
from functools import cache
from pathlib import Path

from tilewright.contract.target import ISAS, Isa
from tilewright_kernels.isa import x86
from tilewright_kernels.isa.architecture import Architecture, IsaPath

PATHS: dict[Isa, IsaPath] = {path.isa: path for path in x86.PATHS}


@cache
def host_architecture() -> Architecture:
    """The architecture of this machine. Raises RuntimeError where there is no path for it."""
    known = {path.architecture.machine: path.architecture for path in PATHS.values()}
    machine = platform.machine()
    if machine not in known:
        raise RuntimeError(f"kernels are made for {', '.join(known)}; this machine is {machine}")
    return known[machine]


@cache
def host_isas() -> tuple[Isa, ...]:
    """The paths that this machine can run, the strongest first."""
    architecture, flags = host_architecture(), cpu_flags()
    return tuple(isa for isa in ISAS if PATHS[isa].architecture == architecture and PATHS[isa].flags <= flags)


@cache
def cpu_flags() -> frozenset[str]:
    return frozenset((cpu_fact(host_architecture().flags) or "").split())


@cache
def cpu_fact(name: str) -> str | None:
    """A line of /proc/cpuinfo, of its first core."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
