"""One run of a job on this worker.

Its process may crash or be killed at any moment: what it measured is in the journal and, acknowledged, in the service.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

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
from tilewright.contract.candidates import candidate_fields
from tilewright.contract.hosts import Host
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Isa, Target, TargetName
from tilewright.contract.workload import Workload
from tilewright.errors import ScheduleChanged, UnsupportedTarget, UnwritableLog
from tilewright_kernels.isa.host import this_host
from tilewright_kernels.runtime.build import scheduled
from tilewright_tuning.budget import Budget
from tilewright_tuning.cores import Cores
from tilewright_tuning.finals import Rejection, Winner, decide
from tilewright_tuning.measurement import spread_us
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.trials import Trial
from tilewright_tuning.tuning import Tuned, tune
from tilewright_worker.journal import Journal, TuningLog
from tilewright_worker.lease import Lease
from tilewright_worker.provenance import make_provenance, make_record
from tilewright_worker.record_sender import BATCH, RecordSender

PUBLISHING_TRIES = 3


class Cancelled(Exception):
    """The job was cancelled, or another attempt took over."""


class Attempt:
    """Tunes the workloads of a job one after the other: holds the lease, writes the journal, reports as it goes."""

    def __init__(
        self,
        client: AttemptClient,
        brief: AttemptBrief,
        target: Target,
        pool: EvaluatorPool,
        lease: Lease,
        folder: Path,
    ) -> None:
        self._client, self._order = client, client.order
        self._brief, self._target, self._pool, self._lease = brief, target, pool, lease
        with writing_log():
            self._journal, self._log = Journal.of_attempt(folder, self._order.attempt), TuningLog(folder)
        self._sender = RecordSender(self._deliver)

    def run(self) -> None:
        """Raises Cancelled, or TilewrightError when the service is away for too long."""
        delivered = self._send_leftovers()
        peak_gmacs = self._pool.measure_peak(self._target.isa) * self._target.threads
        for briefed in self._brief.workloads:
            self._tune(briefed, briefed.trials - delivered[briefed.workload.id], peak_gmacs)

    def close(self) -> None:
        self._sender.close()
        with writing_log():
            self._journal.close()

    def _send_leftovers(self) -> Counter[str]:
        """Send what an earlier attempt measured here and could not send; how many trials of each workload that were."""
        records = list(self._journal.records())
        with writing_log():
            self._log.rewrite(records)
        delivered: Counter[str] = Counter()
        for briefed in self._brief.workloads:
            leftovers = [record for record in records if record.workload_id == briefed.workload.id]
            for start in range(0, len(leftovers), BATCH):
                stored = self._client.send_records(RecordBatch(records=leftovers[start : start + BATCH]))
                delivered[briefed.workload.id] += stored.stored
        return delivered

    def _tune(self, briefed: BriefedWorkload, trials: int, peak_gmacs: float) -> None:
        workload, started = briefed.workload, time.monotonic()
        self._lease.work_on(workload.id)
        with writing_log():
            self._log.begin(workload)
        history = self._client.history(workload.id, self._target.isa, neighbours=True)
        tuned = tune(
            workload,
            self._target,
            Budget(trials, briefed.seconds),
            history,
            self._pool,
            on_trial=partial(self._store_trial, workload),
            is_cancelled=self._lease.ended.is_set,
            with_default=True,
        )
        self._sender.flush()
        if self._lease.ended.is_set():
            raise Cancelled
        print_rejections(workload, tuned.rejections)
        schedule = self._publish(workload, tuned, history, peak_gmacs)
        self._client.report_outcome(
            WorkloadOutcome(
                workload_id=workload.id,
                stop_reason=tuned.exit_reason,
                seconds=time.monotonic() - started,
                schedule_id=schedule.id if schedule else None,
            )
        )

    def _store_trial(self, workload: Workload, trial: Trial) -> None:
        """On disk first, then on its way."""
        record = make_record(self._order, self._target, workload, trial)
        with writing_log():
            self._journal.append(record)
        self._sender.send(record)

    def _deliver(self, batch: RecordBatch) -> None:
        """Off the way of the search: TVM takes its time to make traces of choices for the tuning log."""
        with writing_log():
            for record in batch.records:
                self._log.append(record)
        self._client.send_records(batch)

    def _publish(self, workload: Workload, tuned: Tuned, history: History, peak_gmacs: float) -> Schedule | None:
        """The workload's schedule: the incumbent, or a challenger that beat it."""
        incumbent, winner = history.incumbent, tuned.winner
        for _ in range(PUBLISHING_TRIES):
            if winner is None or (incumbent is not None and winner.candidate.id == incumbent.candidate):
                break
            try:
                return self._client.publish(
                    self._make_publication(workload, winner, incumbent, peak_gmacs, tuned.default_us)
                )
            except ScheduleChanged:
                incumbent = self._client.history(workload.id, self._target.isa).incumbent
                decision = decide(self._pool, tuned.ranking, incumbent.as_candidate if incumbent else None)
                print_rejections(workload, decision.rejections)
                winner = decision.winner
        return incumbent

    def _make_publication(
        self,
        workload: Workload,
        winner: Winner,
        incumbent: Schedule | None,
        peak_gmacs: float,
        default_us: float | None,
    ) -> Publication:
        return Publication(
            workload_id=workload.id,
            target=self._target,
            **candidate_fields(winner.candidate),
            latencies_us=winner.latencies_us,
            latency_us=winner.latency_us,
            spread_us=spread_us(winner.latencies_us),
            peak_gmacs=peak_gmacs,
            default_latency_us=default_us,
            verification=winner.verification,
            proof=winner.instruction_count,
            script=scheduled(workload, self._target, winner.candidate).mod.script(),
            replaces=incumbent.id if incumbent else None,
            provenance=make_provenance(self._order),
        )


@contextmanager
def writing_log() -> Iterator[None]:
    """A disk that is full or read-only is known to be the reason; every other error is a crash."""
    try:
        yield
    except OSError as error:
        raise UnwritableLog(f"this worker cannot write its tuning log: {error}") from error


def print_rejections(workload: Workload, rejections: Iterable[Rejection]) -> None:
    for each in rejections:
        print(f"{workload.name}: candidate {each.candidate.id} is not served: {each.reason}", file=sys.stderr)


def run_attempt(client: AttemptClient, host: Host, folder: Path) -> Report:
    """Run the attempt to its end and say how it ended. Whatever is not a known error is raised."""
    cores = Cores.of_this_process(client.order.threads)
    if cores.spare:
        os.sched_setaffinity(0, cores.spare)  # proposing and reporting stay off the cores that measure
    with EvaluatorPool(cores) as pool:
        peak = {host.isas[0]: pool.measure_peak(host.isas[0])}
        brief = client.start(Start(host=host.model_copy(update={"peak_gmacs": peak})))
        lease = Lease(client, brief.lease_seconds)
        try:
            target = Target(isa=select_isa(brief.target, host), threads=brief.threads)
            tune_workloads(Attempt(client, brief, target, pool, lease, folder))
        except Cancelled:
            if lease.lost is not None:
                raise lease.lost from None
            return Interrupted()
        except (UnsupportedTarget, UnwritableLog) as error:
            return Failed(reason=error.detail)
        finally:
            lease.close()
    return Finished()


def tune_workloads(attempt: Attempt) -> None:
    try:
        attempt.run()
    finally:
        attempt.close()


def select_isa(target: TargetName, host: Host) -> Isa:
    """The ISA path of a job on a host: its strongest for `auto`. Raises UnsupportedTarget when the host lacks it."""
    isa = host.isas[0] if target == "auto" else Isa(target)
    if isa not in host.isas:
        raise UnsupportedTarget(f"this host cannot run {isa}; it has {', '.join(host.isas)}")
    return isa


def carry_out(order: LaunchOrder, folder: Path) -> None:
    """Run the attempt that was ordered, and report its result. Raises TilewrightError when the service is not there."""
    with AttemptClient(order) as client:
        client.report_result(run_attempt(client, this_host(), folder))
