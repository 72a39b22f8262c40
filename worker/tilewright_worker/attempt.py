"""One run of a job on this worker: `python -m tilewright_worker.attempt`, a LaunchOrder on the first line of stdin.

The process may crash or be killed at any moment: what it measured is in the journal and, acknowledged, in the
service. Standard input ends when the process that launched it is gone, and so does this one.
"""

import math
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

# Before NumPy is loaded, here and in the evaluators: a BLAS with threads of its own would disturb measurements.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import (
    AttemptBrief,
    BriefedWorkload,
    Failed,
    Finished,
    History,
    Interrupted,
    LaunchOrder,
    Publication,
    RecordBatch,
    Report,
    Start,
    WorkloadOutcome,
)
from tilewright.contract.candidates import Candidate, candidate_fields
from tilewright.contract.hosts import Host
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright.errors import ScheduleChanged, TilewrightError
from tilewright_kernels.isa.host import this_host
from tilewright_kernels.runtime.build import scheduled
from tilewright_tuning import tuning
from tilewright_tuning.budget import Budget
from tilewright_tuning.cores import Cores
from tilewright_tuning.measurement import spread_us
from tilewright_tuning.trials import Bench, Trial
from tilewright_worker.courier import BATCH, Courier
from tilewright_worker.journal import Journal, TuningLog
from tilewright_worker.lease import Lease
from tilewright_worker.provenance import Recorder

PUBLISHING_TRIES = 3


class Cancelled(Exception):
    """The job was cancelled, or another attempt took over."""


class Attempt:
    """Tunes the workloads of a job one after the other and reports as it goes."""

    def __init__(
        self, order: LaunchOrder, client: AttemptClient, brief: AttemptBrief, bench: Bench, lease: Lease, folder: Path
    ) -> None:
        self._client, self._brief, self._bench, self._lease = client, brief, bench, lease
        self._target = Target(isa=resolved(brief), threads=brief.threads)
        self._recorder = Recorder(order, self._target)
        self._journal, self._log = Journal.of_attempt(folder, order.attempt), TuningLog(folder)
        self._courier = Courier(client.send_records)

    def run(self) -> None:
        """Raises Cancelled, or TilewrightError when the service is away for too long."""
        delivered = self._deliver_leftovers()
        peak = self._bench.peak_gmacs(self._target.isa)
        for briefed in self._brief.workloads:
            self._tune(briefed, briefed.trials - delivered[briefed.workload.id], peak)

    def close(self) -> None:
        self._courier.close()
        self._journal.close()

    def _deliver_leftovers(self) -> Counter[str]:
        """Send what an earlier attempt measured here and could not send; how many trials of each workload that were."""
        records = list(self._journal.records())
        self._log.rewrite(records)
        delivered: Counter[str] = Counter()
        for briefed in self._brief.workloads:
            leftovers = [record for record in records if record.workload_id == briefed.workload.id]
            for start in range(0, len(leftovers), BATCH):
                stored = self._client.send_records(RecordBatch(records=leftovers[start : start + BATCH]))
                delivered[briefed.workload.id] += stored.stored
        return delivered

    def _tune(self, briefed: BriefedWorkload, trials: int, peak: float | None) -> None:
        workload, started = briefed.workload, time.monotonic()
        self._lease.work_on(workload.id)
        self._log.begin(workload)
        self._bench.prepare(workload, self._target)
        history = self._client.history(workload.id, self._target.isa, neighbours=True)
        measured = [
            (record.as_candidate, record.latency_us) for record in history.records if record.latency_us is not None
        ]
        default_us = tuning.default_latency_us(self._bench, workload)

        def take_in(trial: Trial) -> None:
            if trial.failure is None:
                measured.append((trial.candidate, trial.latency_us))
            self._report(workload, trial)

        known_best = min((latency for _, latency in measured), default=math.inf)
        budget = Budget(trials, briefed.seconds, known_best, len(history.records))
        stop_reason = tuning.search(
            self._bench, workload, self._target, history, budget, take_in, self._lease.ended.is_set
        )
        self._courier.flush()
        if self._lease.ended.is_set():
            raise Cancelled
        schedule = self._publish(workload, measured, history, peak, default_us)
        self._client.report_outcome(
            WorkloadOutcome(
                workload_id=workload.id,
                stop_reason=stop_reason,
                seconds=time.monotonic() - started,
                schedule_id=schedule.id if schedule else None,
            )
        )

    def _report(self, workload: Workload, trial: Trial) -> None:
        """On disk first, then on its way."""
        record = self._recorder.record(workload, trial)
        self._journal.append(record)
        self._log.append(workload, record)
        self._courier.deliver(record)

    def _publish(
        self,
        workload: Workload,
        measured: list[tuple[Candidate, float]],
        history: History,
        peak: float | None,
        default_us: float | None,
    ) -> Schedule | None:
        """The workload's schedule: the incumbent, or a challenger that beat it."""

        def reject(candidate: Candidate, reason: str) -> None:
            print(f"{workload.name}: candidate {candidate.id} is not served: {reason}", file=sys.stderr)

        incumbent = history.incumbent
        for _ in range(PUBLISHING_TRIES):
            champion = incumbent.as_candidate if incumbent else None
            winner = tuning.decide(self._bench, measured, champion, reject)
            if winner is None or (incumbent is not None and winner.candidate.id == incumbent.candidate):
                return incumbent
            try:
                return self._client.publish(self._publication(workload, winner, incumbent, peak, default_us))
            except ScheduleChanged:
                incumbent = self._client.history(workload.id, self._target.isa).incumbent
        return incumbent

    def _publication(
        self,
        workload: Workload,
        winner: tuning.Winner,
        incumbent: Schedule | None,
        peak: float | None,
        default_us: float | None,
    ) -> Publication:
        return Publication(
            workload_id=workload.id,
            target=self._target,
            **candidate_fields(winner.candidate),
            latencies_us=winner.latencies_us,
            latency_us=winner.latency_us,
            spread_us=spread_us(winner.latencies_us),
            peak_gmacs=peak * self._target.threads if peak else None,
            default_latency_us=default_us,
            verification=winner.verification,
            proof=winner.proof,
            script=scheduled(workload, self._target, winner.candidate).mod.script(),
            replaces=incumbent.id if incumbent else None,
            provenance=self._recorder.provenance(),
        )


def resolved(brief: AttemptBrief) -> Isa:
    """The ISA path of the job on this host. Raises ValueError when the host lacks it."""
    isas = this_host().isas
    isa = isas[0] if brief.target == "auto" else Isa(brief.target)
    if isa not in isas:
        raise ValueError(f"this host cannot run {isa}; it has {', '.join(isas)}")
    return isa


def tune(order: LaunchOrder, client: AttemptClient, folder: Path) -> Report:
    """Run the attempt to its end and say how it ended."""
    cores = Cores.of_this_process(order.threads)
    if cores.spare:
        os.sched_setaffinity(0, cores.spare)  # proposing and reporting stay off the cores that measure
    with Bench(cores) as bench:
        host = measured_host(bench)
        brief = client.start(Start(host=host))
        return _run(
            Lease(client, brief.lease_seconds), lambda lease: Attempt(order, client, brief, bench, lease, folder)
        )


def measured_host(bench: Bench) -> Host:
    """This host, with the measured peak of its strongest path."""
    host = this_host()
    return host.model_copy(update={"peak_gmacs": {host.isas[0]: bench.peak_gmacs(host.isas[0])}})


def _run(lease: Lease, begin: Callable[[Lease], Attempt]) -> Report:
    """Run an attempt under its lease."""
    try:
        attempt = begin(lease)
        try:
            attempt.run()
        finally:
            attempt.close()
    except Cancelled:
        if lease.lost is not None:
            raise lease.lost from None
        return Interrupted()
    except ValueError as error:
        return Failed(reason=str(error))
    except OSError as error:
        return Failed(reason=f"this worker cannot write its tuning log: {error}")
    finally:
        lease.close()
    return Finished()


def end_with_parent() -> None:
    """Standard input ends when the launching process does, however it ended."""
    sys.stdin.read()
    os._exit(1)


def main() -> int:
    order = LaunchOrder.model_validate_json(sys.stdin.readline())
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    folder = Path(os.environ.get("TILEWRIGHT_LOGS_DIR", "tuning_logs")) / str(order.job_id)
    with AttemptClient(order) as client:
        try:
            client.report_result(tune(order, client, folder))
        except TilewrightError as error:
            print(f"job {order.job_id}, attempt {order.attempt}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
