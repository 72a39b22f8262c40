"""Jobs and schedules as a service has them after a day of use, brought there by the requests of an attempt."""

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import Publication, RecordBatch, WorkloadOutcome
from tilewright.contract.hosts import Host
from tilewright.contract.target import ISAS, Target

from ..service.stand_in import invented_publication, invented_record

HOST = Host(
    host_class="amd-epyc-f26m2-l2x1024k-avx512_vnni",
    hostname="here",
    cpu_model="AMD EPYC",
    cores=2,
    isas=tuple(ISAS),
)
STOP_REASONS = ("plateau", "exhausted", "trials")


def send_trials(attempt: AttemptClient, workload_id: str, numbers: range) -> None:
    job_id, number = attempt.order.job_id, attempt.order.attempt
    records = [invented_record(job_id, number, workload_id, each) for each in numbers]
    attempt.send_records(RecordBatch(records=records))


def tune(attempt: AttemptClient, workload_id: str, index: int) -> None:
    send_trials(attempt, workload_id, range(11 + index))
    schedule = attempt.publish(_publication(attempt, workload_id, latency_us=35.625 + 123.456 * index))
    reason = STOP_REASONS[index % len(STOP_REASONS)]
    attempt.report_outcome(
        WorkloadOutcome(workload_id=workload_id, stop_reason=reason, seconds=2.5 + index, schedule_id=schedule.id)
    )


def _publication(attempt: AttemptClient, workload_id: str, latency_us: float) -> Publication:
    invented = invented_publication(attempt.order.job_id, attempt.order.attempt, workload_id, latency_us=latency_us)
    return invented.model_copy(
        update={
            "target": Target(isa="avx512_vnni"),
            "peak_gmacs": 20_000.0,
            "default_latency_us": 12_345.6,
            "provenance": invented.provenance.model_copy(update={"host_class": HOST.host_class}),
        }
    )
