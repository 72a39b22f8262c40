"""What machine measured."""

from typing import Annotated

from pydantic import Field, StrictInt

from tilewright.contract.message import Message, PlainName
from tilewright.contract.target import Isa

HostClass = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,127}$")]
"""CPU model, and caches and strongest ISA path where they differ: `amd-epyc-f26m2-l2x1024k-avx512_vnni`."""


class Host(Message):
    """A machine that measures. Latencies compare only within one `host_class`."""

    host_class: HostClass
    hostname: PlainName
    cpu_model: PlainName
    cores: Annotated[StrictInt, Field(ge=1, le=65536)]
    isas: Annotated[tuple[Isa, ...], Field(min_length=1)]
    """The paths that this machine can run, the strongest first."""
    peak_gmacs: dict[Isa, float] = {}
    """Measured peak of one core in 10^9 int8 multiply-adds per second, for the paths that were measured."""
