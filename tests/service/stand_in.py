"""Stands in for an attempt: invents records at a steady pace, and misbehaves where its workload says so.

The height of the first workload is the script: 11 crashes, 12 hangs, 13 ignores a cancel; all others behave.
"""

import sys
import threading
import time
import uuid
from datetime import UTC, datetime

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import (
    BriefedWorkload,
    Finished,
    Interrupted,
    LaunchOrder,
    Publication,
    RecordBatch,
    Renewal,
    Start,
    WorkloadOutcome,
)
from tilewright.contract.candidates import Choice, candidate_fields
from tilewright.contract.hosts import Host
from tilewright.contract.records import MeasuredRecord, Provenance, RecordState
from tilewright.contract.schedules import InstructionCount, Verification
from tilewright.contract.target import ISAS, Target
from tilewright_kernels.isa.host import this_host

CRASHES, HANGS, IGNORES_CANCEL = 11, 12, 13
TRIAL_SECONDS = 0.03
PROOF = InstructionCount(
    instruction="pmaddwd",
    register_bits=128,
    dot_products=4,
    instructions=9,
    in_loop=True,
    dot_products_in_kernel=4,
)
HOST = Host(host_class="stand-in", hostname="here", cpu_model="none", cores=2, isas=ISAS[::-1])
TARGET = Target(isa="x86_64")
START = Start(host=HOST, process="0123456789abcdef" * 2)


def main() -> int:
    """Speaks for the host that it really is on."""
    global HOST, TARGET
    HOST = this_host()
    TARGET = Target(isa=HOST.isas[0])
    order = LaunchOrder.model_validate_json(sys.stdin.readline())
    client = AttemptClient(order)
    client.start(Start(host=HOST, process=uuid.uuid4().hex))
    cancelled = threading.Event()
    threading.Thread(target=_renew, args=(client, cancelled), daemon=True).start()
    while (briefed := client.next().workload) is not None:
        if _tune(client, order, briefed, cancelled):
            client.report_result(Interrupted())
            return 0
    client.report_result(Finished())
    return 0


def _renew(client: AttemptClient, cancelled: threading.Event) -> None:
    while True:
        if client.renew(Renewal()).cancel:
            cancelled.set()
        time.sleep(0.3)


def _tune(client: AttemptClient, order: LaunchOrder, briefed: BriefedWorkload, cancelled: threading.Event) -> bool:
    """Whether it was interrupted."""
    workload = briefed.workload
    if workload.height == CRASHES:
        sys.exit("the stand-in crashes as it was told")
    if workload.height == HANGS:
        time.sleep(3600)
    history = client.history(workload.id, TARGET.isa)
    known = {record.candidate for record in history.records}
    trials = briefed.trials
    for number in range(10_000):
        record = invented_record(order.job_id, order.attempt, workload.id, number)
        if trials == 0 or record.candidate in known:
            if trials == 0:
                break
            continue
        time.sleep(TRIAL_SECONDS)
        client.send_records(RecordBatch(records=[record]))
        trials -= 1
        if cancelled.is_set() and workload.height != IGNORES_CANCEL:
            return True
    if history.incumbent is None:
        schedule = client.publish(invented_publication(order.job_id, order.attempt, workload.id))
    else:
        schedule = history.incumbent
    client.report_outcome(
        WorkloadOutcome(workload_id=workload.id, stop_reason="budget", seconds=1.0, schedule_id=schedule.id)
    )
    return False


def invented_choice(number: int) -> Choice:
    return Choice(space="invented", version=1, decisions={"number": number})


def invented_record(job_id: int, attempt: int, workload_id: str, number: int) -> MeasuredRecord:
    return MeasuredRecord(
        workload_id=workload_id,
        target=TARGET,
        **candidate_fields(invented_choice(number)),
        state=RecordState.MEASURED,
        latencies_us=[100.0 + number],
        latency_us=100.0 + number,
        spread_us=0.5,
        seconds=TRIAL_SECONDS,
        provenance=_provenance(job_id, attempt),
    )


def invented_publication(
    job_id: int, attempt: int, workload_id: str, replaces: int | None = None, latency_us: float = 90.0
) -> Publication:
    return Publication(
        workload_id=workload_id,
        target=TARGET,
        **candidate_fields(invented_choice(round(latency_us * 1000))),
        latencies_us=[latency_us],
        latency_us=latency_us,
        spread_us=0.5,
        peak_gmacs=100.0,
        default_latency_us=900.0,
        verification=Verification(reference="none", inputs=["none"], elements=1),
        proof=PROOF,
        script="# nothing",
        replaces=replaces,
        provenance=_provenance(job_id, attempt),
    )


def _provenance(job_id: int, attempt: int) -> Provenance:
    return Provenance(
        job_id=job_id,
        attempt=attempt,
        host_class=HOST.host_class,
        tvm_version="0",
        llvm_version="0",
        tilewright_version="0",
        measured_at=datetime.now(UTC),
    )


if __name__ == "__main__":
    sys.exit(main())
