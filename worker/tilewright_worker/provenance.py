"""With what, where and when a record was made."""

from datetime import UTC, datetime

import tvm

import tilewright
from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.candidates import candidate_fields
from tilewright.contract.records import NewRecord, Provenance, RecordState
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.isa.host import host_class
from tilewright_tuning.measurement import spread_us
from tilewright_tuning.trials import Trial


class Recorder:
    """Turns trials of one attempt into records."""

    def __init__(self, order: LaunchOrder, target: Target) -> None:
        self._order = order
        self._target = target

    def record(self, workload: Workload, trial: Trial) -> NewRecord:
        measured = trial.failure is None
        return NewRecord(
            workload_id=workload.id,
            target=self._target,
            **candidate_fields(trial.candidate),
            state=RecordState.MEASURED if measured else RecordState.FAILED,
            latencies_us=trial.latencies_us,
            latency_us=trial.latency_us if measured else None,
            spread_us=spread_us(trial.latencies_us) if measured else None,
            slowdown=trial.slowdown,
            failure=trial.failure,
            reason=trial.reason,
            seconds=trial.seconds,
            provenance=self.provenance(),
        )

    def provenance(self) -> Provenance:
        return Provenance(
            job_id=self._order.job_id,
            attempt=self._order.attempt,
            host_class=host_class(),
            tvm_version=tvm.__version__,
            llvm_version=str(tvm.target.codegen.llvm_version_major()),
            tilewright_version=tilewright.__version__,
            measured_at=datetime.now(UTC),
        )
