"""A stored trial: one candidate that was built and measured, or failed with a reason."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StrictInt, TypeAdapter
from typing_extensions import TypeAliasType

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


class RecordFields(CandidateFields):
    """What all records have. `state` tells the outcome; what the other outcome has is there as well, and null."""

    workload_id: Sha256
    target: Target
    seconds: Annotated[float, Field(ge=0)]
    """What the trial cost, from proposal to latency."""
    provenance: Provenance


class MeasuredRecord(RecordFields):
    state: Literal[RecordState.MEASURED]
    latencies_us: Annotated[list[Latency], Field(max_length=1000)] = []
    """One mean per repeat, in the order they were measured."""
    latency_us: Latency
    """Median over the repeats."""
    spread_us: Annotated[float, Field(ge=0, le=1e12)] | None = None
    """Interquartile range over the repeats."""
    slowdown: Annotated[float, Field(ge=1, le=1e6)] | None = None
    """Of the measuring core while this was measured: the canary's time over its best in the attempt."""
    failure: None = None
    reason: None = None


class FailedRecord(RecordFields):
    state: Literal[RecordState.FAILED]
    failure: FailureKind
    reason: Annotated[str, Field(max_length=4000)] | None = None
    latencies_us: Annotated[list[Latency], Field(max_length=0)] = []
    latency_us: None = None
    spread_us: None = None
    slowdown: None = None


class StoredMeasuredRecord(MeasuredRecord):
    id: RowId


class StoredFailedRecord(FailedRecord):
    id: RowId


NewRecord = TypeAliasType("NewRecord", Annotated[MeasuredRecord | FailedRecord, Field(discriminator="state")])
"""A record as a worker reports it; stored once for a workload, target, host class and candidate."""

Record = TypeAliasType("Record", Annotated[StoredMeasuredRecord | StoredFailedRecord, Field(discriminator="state")])
"""A record as the store holds it."""

_NEW_RECORD: TypeAdapter[NewRecord] = TypeAdapter(NewRecord, config=ConfigDict(defer_build=True))


def parse_record(document: str | bytes) -> NewRecord:
    """Raises ValidationError."""
    return _NEW_RECORD.validate_json(document)
