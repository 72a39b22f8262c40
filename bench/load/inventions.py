"""Workloads, records and schedules that nobody has measured, in the shapes of the contract."""

import hashlib
import json
from datetime import UTC, datetime

from tilewright.contract.candidates import Choice, candidate_fields
from tilewright.contract.hosts import Host
from tilewright.contract.records import MeasuredRecord, Provenance, RecordState
from tilewright.contract.schedules import Schedule, Verification
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload

TARGET = Target(isa="x86_64")
HOST = Host(host_class="load", hostname="here", cpu_model="none", cores=2, isas=("x86_64",))


def workload(number: int) -> Workload:
    """Another for each number below 400,000."""
    shape = {"height": 1 + number % 500, "width": 1 + number // 500, "in_channels": 16, "out_channels": 16}
    return Workload(batch=1, kernel_size=(1, 1), **shape)


def choice(number: int) -> Choice:
    return Choice(space="invented", version=1, decisions={"number": number})


def provenance(job_id: int, attempt: int = 1) -> Provenance:
    return Provenance(
        job_id=job_id,
        attempt=attempt,
        host_class=HOST.host_class,
        tvm_version="0",
        llvm_version="0",
        tilewright_version="0",
        measured_at=datetime.now(UTC),
    )


def record(workload_id: str, job_id: int, number: int, attempt: int = 1) -> MeasuredRecord:
    return MeasuredRecord(
        workload_id=workload_id,
        target=TARGET,
        **candidate_fields(choice(number)),
        state=RecordState.MEASURED,
        latencies_us=[100.0, 101.0, 100.5, 100.2, 100.1, 99.9, 100.0],
        latency_us=100.0,
        spread_us=1.0,
        seconds=0.1,
        provenance=provenance(job_id, attempt),
    )


class RecordText:
    """The same as JSON, made from one text: a thousand of them in a few milliseconds."""

    def __init__(self, workload_id: str, job_id: int, attempt: int = 1) -> None:
        self._text = record(workload_id, job_id, MARK, attempt).model_dump_json()
        self._candidate = choice(MARK).id

    def of(self, number: int) -> str:
        return self._text.replace(self._candidate, candidate(number)).replace(str(MARK), str(number))


MARK = 987_654_321


def candidate(number: int) -> str:
    """As the contract has it, without its models."""
    text = json.dumps(["invented", 1, {"number": number}], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def schedule(number: int, schedule_id: int, job_id: int) -> Schedule:
    convolution = workload(number)
    return Schedule(
        id=schedule_id,
        workload_id=convolution.id,
        name=convolution.name,
        workload=convolution,
        target=TARGET,
        **candidate_fields(choice(0)),
        latency_us=100.0,
        spread_us=1.0,
        latencies_us=[100.0] * 10,
        gmacs=1.0,
        share_of_peak=0.5,
        default_latency_us=900.0,
        speedup_over_default=9.0,
        verification=Verification(reference="none", inputs=["none"], elements=1),
        provenance=provenance(job_id),
        published_at=datetime.now(UTC),
    )
