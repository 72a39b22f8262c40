"""What an attempt and the service say to each other.

launch -> LaunchOrder (through the engine)
POST /v1/jobs/{job}/attempts/{n}/start      Start           -> AttemptBrief (409 for a second process)
POST /v1/jobs/{job}/attempts/{n}/next       Next            -> Assignment: the workload to tune now, if there is one
GET  /v1/jobs/{job}/attempts/{n}/history    ?workload_id&isa&neighbours -> History
POST /v1/jobs/{job}/attempts/{n}/records    RecordBatch     -> Stored
POST /v1/jobs/{job}/attempts/{n}/renew      Renewal         -> RenewalAnswer
POST /v1/jobs/{job}/attempts/{n}/schedules  Publication     -> Schedule (409 when the incumbent changed meanwhile)
POST /v1/jobs/{job}/attempts/{n}/outcomes   WorkloadOutcome -> 204
POST /v1/jobs/{job}/attempts/{n}/failures   WorkloadFailure -> 204
POST /v1/jobs/{job}/attempts/{n}/result     Report          -> 204

All carry the attempt's own token as `Authorization: Bearer ...`. Several attempts may be at one job; each has authority
over the one workload that it was assigned, until it says what came of it. An attempt that has ended gets 409.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StrictInt

from tilewright.contract.candidates import CandidateFields, Choice
from tilewright.contract.hosts import Host
from tilewright.contract.message import DatabaseId, Latency, Message, RowId, Sha256
from tilewright.contract.records import NewRecord, Provenance, RecordState
from tilewright.contract.schedules import InstructionCount, Schedule, Verification
from tilewright.contract.target import Target, TargetName, Threads
from tilewright.contract.workers import AttemptIdentity
from tilewright.contract.workload import Workload


class LaunchOrder(Message):
    """What the engine hands to a worker: enough to call home, nothing else."""

    url: str
    database_id: DatabaseId
    job_id: RowId
    attempt: Annotated[StrictInt, Field(ge=1)]
    token: str
    threads: Threads

    @property
    def identity(self) -> AttemptIdentity:
        return AttemptIdentity(database_id=self.database_id, job_id=self.job_id, attempt=self.attempt)


class Cause(StrEnum):
    """Where it lies that something failed: there the blame goes."""

    WORKLOAD = "workload"
    """It would fail elsewhere, too, as with a crash of TVM: it has so many tries, and then it has failed."""
    HOST = "host"
    """A full or read-only disk, no memory, no descriptors: the host is set aside, and the work goes elsewhere."""
    MOMENT = "moment"
    """The service was away, a worker was stopped: tried again, and nobody is to blame."""


class Start(Message):
    host: Host
    process: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Random, the same in every repetition of this call: an attempt is one process, and a second one is refused."""


class Next(Message):
    """What the attempt has done so far is acknowledged; safe to repeat while the assigned workload is open."""


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
    """Renew well within this, or others take over."""
    database_id: DatabaseId
    """Of the database that the job is in; ids of jobs mean something only together with it."""


class Assignment(Message):
    workload: BriefedWorkload | None
    """None when there is nothing left for this attempt: it reports that it has finished."""


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
    progress: Annotated[StrictInt, Field(ge=0)] = 0
    """Grows whenever the attempt gets on: a lease that is renewed without it is ended after a while."""


class RenewalAnswer(Message):
    cancel: bool
    """Stop now: nobody wants the job any more."""
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


class WorkloadFailure(Message):
    """The attempt could not tune what it was assigned, and can go on with another."""

    workload_id: Sha256
    cause: Literal[Cause.WORKLOAD, Cause.MOMENT] = Cause.WORKLOAD
    reason: Annotated[str, Field(max_length=4000)]


class Finished(Message):
    """There was nothing left for it."""

    outcome: Literal["finished"] = "finished"


class Interrupted(Message):
    """It stopped because the job was cancelled, or its worker leaves."""

    outcome: Literal["interrupted"] = "interrupted"


class Failed(Message):
    """It cannot go on at all; what it was assigned is free again."""

    outcome: Literal["failed"] = "failed"
    cause: Cause
    reason: Annotated[str, Field(max_length=4000)]


Report = Annotated[Finished | Interrupted | Failed, Field(discriminator="outcome")]
