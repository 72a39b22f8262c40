"""Jobs and schedules as a service has them after a day of use, brought there by the requests of an attempt."""

import uuid

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import Publication, RecordBatch, Start, WorkloadOutcome
from tilewright.contract.hosts import Host
from tilewright.contract.records import Provenance
from tilewright.contract.target import ISAS, Target
from tilewright.contract.workers import Worker, WorkerState
from tilewright_service.store.lanes import WorkerFacts
from tilewright_service.store.waiting import Capacity

from ..service.in_thread import ServiceInThread
from ..service.stand_in import invented_publication, invented_record

HOST = Host(
    host_class="amd-epyc-f26m2-l2x1024k-avx512_vnni",
    hostname="here",
    cpu_model="AMD EPYC",
    cores=2,
    isas=tuple(ISAS),
)
STOP_REASONS = ("plateau", "exhausted", "trials")


TARGET = Target(isa="avx512_vnni")
BUSY = Capacity(
    (
        Worker(
            name="rack17",
            hostname=HOST.hostname,
            host_class=HOST.host_class,
            isas=HOST.isas,
            cores=HOST.cores,
            state=WorkerState.RUNNING,
        ),
    )
)
"""One worker, which has something to do."""


def begin(service: ServiceInThread) -> AttemptClient:
    """Of the job whose turn it is; it is at the first workload that is queued."""
    worker = WorkerFacts("rack17", HOST.hostname, HOST.host_class, HOST.isas, HOST.cores)
    return service.begin_attempt(Start(host=HOST, process=uuid.uuid4().hex), [worker])


def send_trials(attempt: AttemptClient, workload_id: str, numbers: range) -> None:
    job_id, number = attempt.order.job_id, attempt.order.attempt
    invented = [invented_record(job_id, number, workload_id, each) for each in numbers]
    measured = [
        each.model_copy(update={"target": TARGET, "provenance": _of_this_host(each.provenance)}) for each in invented
    ]
    attempt.send_records(RecordBatch(records=measured))


def tune(attempt: AttemptClient, workload_id: str, index: int) -> None:
    """The workload that the attempt is at; then it takes the next one."""
    send_trials(attempt, workload_id, range(11 + index))
    schedule = attempt.publish(_publication(attempt, workload_id, latency_us=35.625 + 123.456 * index))
    reason = STOP_REASONS[index % len(STOP_REASONS)]
    attempt.report_outcome(
        WorkloadOutcome(workload_id=workload_id, stop_reason=reason, seconds=2.5 + index, schedule_id=schedule.id)
    )
    attempt.next()


def _publication(attempt: AttemptClient, workload_id: str, latency_us: float) -> Publication:
    invented = invented_publication(attempt.order.job_id, attempt.order.attempt, workload_id, latency_us=latency_us)
    return invented.model_copy(
        update={
            "target": TARGET,
            "peak_gmacs": 20_000.0,
            "default_latency_us": 12_345.6,
            "provenance": _of_this_host(invented.provenance),
        }
    )


def _of_this_host(provenance: Provenance) -> Provenance:
    return provenance.model_copy(update={"host_class": HOST.host_class})
