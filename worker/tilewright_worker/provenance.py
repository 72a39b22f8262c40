"""Records of trials, with what, where and when they were made."""

from datetime import UTC, datetime

import tvm

import tilewright
from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.candidates import candidate_fields
from tilewright.contract.records import FailedRecord, MeasuredRecord, NewRecord, Provenance, RecordState
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.isa.host import host_class
from tilewright_tuning.measurement import spread_us
from tilewright_tuning.trials import Failed, Measured, Trial


def make_record(order: LaunchOrder, target: Target, workload: Workload, trial: Trial) -> NewRecord:
    """Of a trial that the attempt of this order has just made."""
    common = {
        "workload_id": workload.id,
        "target": target,
        **candidate_fields(trial.candidate),
        "seconds": trial.seconds,
        "provenance": make_provenance(order),
    }
    match trial:
        case Measured():
            return MeasuredRecord(
                **common,
                state=RecordState.MEASURED,
                latencies_us=trial.latencies_us,
                latency_us=trial.latency_us,
                spread_us=spread_us(trial.latencies_us),
                slowdown=trial.slowdown,
            )
        case Failed():
            return FailedRecord(**common, state=RecordState.FAILED, failure=trial.kind, reason=trial.reason)


def make_provenance(order: LaunchOrder) -> Provenance:
    return Provenance(
        job_id=order.job_id,
        attempt=order.attempt,
        host_class=host_class(),
        tvm_version=tvm.__version__,
        llvm_version=str(tvm.target.codegen.llvm_version_major()),
        tilewright_version=tilewright.__version__,
        measured_at=datetime.now(UTC),
    )
