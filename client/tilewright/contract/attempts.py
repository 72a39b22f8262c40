"""What an attempt and the service say to each other.

launch -> LaunchOrder (through the engine)
POST /v1/jobs/{job}/attempts/{n}/start      Start           -> AttemptBrief
GET  /v1/jobs/{job}/attempts/{n}/history    ?workload_id&isa&neighbours -> History
POST /v1/jobs/{job}/attempts/{n}/records    RecordBatch     -> Stored
POST /v1/jobs/{job}/attempts/{n}/renew      Renewal         -> RenewalAnswer
POST /v1/jobs/{job}/attempts/{n}/schedules  Publication     -> Schedule (409 when the incumbent changed meanwhile)
POST /v1/jobs/{job}/attempts/{n}/outcomes   WorkloadOutcome -> 204
POST /v1/jobs/{job}/attempts/{n}/result     Report          -> 204

All carry the attempt's own token as `Authorization: Bearer ...`. A stale attempt gets 409, except for records: facts.
"""

from typing import Annotated, Literal

from pydantic import Field, StrictInt

from tilewright.contract.candidates import CandidateFields, Choice
from tilewright.contract.hosts import Host
from tilewright.contract.message import Latency, Message, RowId, Sha256
from tilewright.contract.records import NewRecord, Provenance, RecordState
from tilewright.contract.schedules import InstructionCount, Schedule, Verification
from tilewright.contract.target import Target, TargetName, Threads
from tilewright.contract.workload import Workload


class LaunchOrder(Message):
    """What the engine hands to a worker: enough to call home, nothing else."""

    url: str
    job_id: RowId
    attempt: Annotated[StrictInt, Field(ge=1)]
    token: str
    threads: Threads


class Start(Message):
    host: Host


class BriefedWorkload(Message):
    """One workload that still has to be tuned."""

    workload: Workload
    trials: Annotated[StrictInt, Field(ge=0)]
    """Trials left in this job's budget: earlier attempts' trials are already taken off."""
    seconds: float | None


class AttemptBrief(Message):
    target: TargetName
    threads: Threads
    lease_seconds: float
    """Renew well within this, or another attempt takes over."""
    workloads: list[BriefedWorkload]
    """Without those that an earlier attempt finished."""


class KnownRecord(CandidateFields):
    """What a resumed search needs of a record: not to measure it again, and to learn from it."""

    state: RecordState
    latency_us: Latency | None


class NeighbourRecord(Message):
    """A measured record of another workload, cut to what can be learnt from."""

    choice: Choice
    latency_us: Latency


class Neighbour(Message):
    """What is known of another workload on the same target and host class."""

    workload: Workload
    records: list[NeighbourRecord]
    """Best first, and of a workload with many the best only."""


class History(Message):
    records: list[KnownRecord]
    """Of this workload, target and host class, best first."""
    incumbent: Schedule | None
    neighbours: list[Neighbour] = []
    """The workloads most like this one, the nearest first; empty unless they were asked for."""


class RecordBatch(Message):
    records: Annotated[list[NewRecord], Field(min_length=1, max_length=256)]


class Stored(Message):
    stored: int
    """How many were new; the others were known already."""


class Renewal(Message):
    workload_id: Sha256 | None = None
    """What the attempt is working on."""


class RenewalAnswer(Message):
    cancel: bool
    lease_seconds: float


class Publication(CandidateFields):
    """A candidate that was re-measured interleaved with the incumbent, beat it, and passed the bit-exactness gate."""

    workload_id: Sha256
    target: Target
    latencies_us: Annotated[list[Latency], Field(min_length=1, max_length=1000)]
    latency_us: Latency
    spread_us: Annotated[float, Field(ge=0)]
    peak_gmacs: Annotated[float, Field(gt=0)] | None
    """Measured peak of the cores used, all together."""
    default_latency_us: Latency | None
    verification: Verification
    proof: InstructionCount | None = None
    script: Annotated[str, Field(max_length=1_000_000)]
    replaces: RowId | None
    """The schedule that it was compared with; None when there was none."""
    provenance: Provenance


class WorkloadOutcome(Message):
    """The search of one workload ended."""

    workload_id: Sha256
    stop_reason: Annotated[str, Field(max_length=200)]
    seconds: Annotated[float, Field(ge=0)]
    schedule_id: RowId | None


class Finished(Message):
    outcome: Literal["finished"] = "finished"


class Interrupted(Message):
    """It stopped because the job was cancelled."""

    outcome: Literal["interrupted"] = "interrupted"


class Failed(Message):
    outcome: Literal["failed"] = "failed"
    reason: Annotated[str, Field(max_length=4000)]


Report = Annotated[Finished | Interrupted | Failed, Field(discriminator="outcome")]
