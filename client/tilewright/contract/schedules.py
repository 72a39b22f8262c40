"""The best-known verified record of a workload on a target."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt

from tilewright.contract.candidates import CandidateFields
from tilewright.contract.message import Input, Latency, Message, RowId, Sha256
from tilewright.contract.records import Provenance
from tilewright.contract.target import Isa, Target, Threads
from tilewright.contract.workload import Workload

Count = Annotated[StrictInt, Field(ge=0)]


class Verification(Message):
    """The bit-exactness gate that the built kernel passed."""

    reference: Annotated[str, Field(max_length=200)]
    inputs: Annotated[list[str], Field(min_length=1, max_length=64)]
    """What was run, in words, such as `x=255 w=-128 zero points 0 and 255`."""
    elements: Annotated[StrictInt, Field(ge=1)]
    """How many output elements were compared; all were equal."""


class InstructionCount(Message):
    """The machine code of the built kernel: how its inner loop computes dot products.

    The inner loop is the one that holds most of them; what belongs to a loop inside another counts for the inner one
    only. A kernel of the generic space may hold none, and then it has no inner loop either.
    """

    instruction: Annotated[str, Field(max_length=32)]
    """The dot product of the ISA path, in assembly."""
    register_bits: Literal[128, 256, 512]
    """Width of the vectors that are counted: the full width of the path."""
    dot_products: Count
    """How many the inner loop holds."""
    instructions: Count
    """How many instructions of any kind the inner loop holds."""
    in_loop: StrictBool
    """False where so much is unrolled that the dot products stand in no loop: then straight code is counted."""
    dot_products_in_kernel: Count
    """How many the whole kernel holds."""


class Schedule(CandidateFields):
    """What is served for a workload on a target."""

    id: RowId
    workload_id: Sha256
    name: str
    workload: Workload
    target: Target
    latency_us: Latency
    spread_us: float
    latencies_us: list[float]
    gmacs: float
    """10^9 multiply-adds per second."""
    share_of_peak: float | None
    """gmacs over the measured peak of the cores used."""
    default_latency_us: Latency | None
    """TVM's default schedule of the same workload, measured in the same run."""
    speedup_over_default: float | None
    """How many times as fast as `default_latency_us`; not a comparison with other libraries."""
    verification: Verification
    proof: InstructionCount | None = None
    """None for schedules that were published before instructions were counted."""
    provenance: Provenance
    published_at: datetime

    def __repr__(self) -> str:
        measured = f"{self.latency_us:.1f} us on {self.provenance.host_class}"
        return f"<{type(self).__name__} {self.id}: {self.name}, {self.target}, {measured}>"

    __str__ = __repr__


class ScheduleDetail(Schedule):
    """With the scheduled TVMScript."""

    script: str


class Lookup(Input):
    """Many workloads in one question. Without `isa` or `host_class`, the fastest of all is the answer."""

    workloads: Annotated[list[Workload], Field(min_length=1, max_length=1000)]
    threads: Threads = 1
    isa: Isa | None = None
    host_class: Annotated[str, Field(max_length=128)] | None = None


class LookupResult(Message):
    """One entry a workload, in the order of the question; None where nothing is known yet."""

    items: list[Schedule | None]
