"""A stored trial: one candidate that was built and measured, or failed with a reason."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StrictInt, model_validator

from tilewright.contract.candidates import CandidateFields
from tilewright.contract.message import Latency, Message, RowId, Sha256
from tilewright.contract.target import Target


class RecordState(StrEnum):
    MEASURED = "measured"
    FAILED = "failed"


class FailureKind(StrEnum):
    BUILD_ERROR = "build_error"
    RUN_ERROR = "run_error"
    TIMEOUT = "timeout"
    CRASH = "crash"
    WRONG_RESULT = "wrong_result"


class Provenance(Message):
    """Where, when and with what a record was made."""

    job_id: RowId
    attempt: Annotated[StrictInt, Field(ge=1)]
    host_class: Annotated[str, Field(max_length=128)]
    tvm_version: Annotated[str, Field(max_length=64)]
    llvm_version: Annotated[str, Field(max_length=64)]
    tilewright_version: Annotated[str, Field(max_length=64)]
    measured_at: datetime


class NewRecord(CandidateFields):
    """A record as a worker reports it; stored once for a workload, target, host class and candidate."""

    workload_id: Sha256
    target: Target
    state: RecordState
    latencies_us: Annotated[list[Latency], Field(max_length=1000)] = []
    """One mean per repeat, in the order they were measured."""
    latency_us: Latency | None = None
    """Median over the repeats; None for a failure."""
    spread_us: Annotated[float, Field(ge=0, le=1e12)] | None = None
    """Interquartile range over the repeats."""
    slowdown: Annotated[float, Field(ge=1, le=1e6)] | None = None
    """Of the measuring core while this was measured: the canary's time over its best in the attempt."""
    failure: FailureKind | None = None
    reason: Annotated[str, Field(max_length=4000)] | None = None
    seconds: Annotated[float, Field(ge=0)]
    """What the trial cost, from proposal to latency."""
    provenance: Provenance

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.state is RecordState.MEASURED) != (self.latency_us is not None):
            raise ValueError("a measured record has latency_us, a failed one has not")
        if (self.state is RecordState.FAILED) != (self.failure is not None):
            raise ValueError("a failed record names its failure, a measured one does not")
        return self


class Record(NewRecord):
    """A record as the store holds it."""

    id: RowId
