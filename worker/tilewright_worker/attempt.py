"""One process at a job: it takes one workload after the other, until there is none for it any more.

It may crash or be killed at any moment: what it measured is in the journal and, acknowledged, in the service.
"""

import os
import sys
import traceback
import uuid
from contextlib import ExitStack
from pathlib import Path

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import (
    AttemptBrief,
    BriefedWorkload,
    Cause,
    Failed,
    Finished,
    Interrupted,
    LaunchOrder,
    Report,
    Start,
    WorkloadFailure,
)
from tilewright.contract.hosts import Host
from tilewright.contract.target import Isa, Target, TargetName
from tilewright.errors import TilewrightError, UnsupportedTarget
from tilewright.workloads.memory import misfit
from tilewright_kernels.isa.host import this_host
from tilewright_tuning.child_process import CallFailed
from tilewright_tuning.cores import Cores
from tilewright_tuning.limits import host_memory_bytes
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.pulse import Pulse, Stopped
from tilewright_worker import exit_codes
from tilewright_worker.causes import PASSING, ailment_of, reason_of
from tilewright_worker.job_folder import job_folder
from tilewright_worker.journal import Journal, Writer
from tilewright_worker.lease import Lease
from tilewright_worker.leftovers import deliver_leftovers
from tilewright_worker.tuning_log import TuningLog
from tilewright_worker.workload_tuning import WorkloadTuning, writing_log


def run_attempt(client: AttemptClient, host: Host, logs_dir: Path, pulse: Pulse | None = None) -> Report:
    """Run the attempt to its end and say how it ended.

    Raises what kept it from speaking to the service, for which nobody is to blame; everything else that it cannot
    name is raised, too. Stopping the `pulse` interrupts it.
    """
    pulse = pulse or Pulse()
    cores = Cores.of_this_process(client.order.threads)
    if cores.spare:
        os.sched_setaffinity(0, cores.spare)  # proposing and reporting stay off the cores that measure
    try:
        with EvaluatorPool(cores, pulse=pulse) as pool:
            brief = client.start(Start(host=with_peak(host, pool, host.isas[0]), process=uuid.uuid4().hex))
            return _hold_lease(client, brief, host, pool, logs_dir)
    except Stopped:
        return Interrupted()
    except Exception as error:
        ailment = ailment_of(error)
        if ailment is None:
            raise
        return Failed(cause=Cause.HOST, reason=ailment)


def with_peak(host: Host, pool: EvaluatorPool, isa: Isa) -> Host:
    """With what a core can do at most on this path, where that can be measured now."""
    try:
        return host.model_copy(update={"peak_gmacs": {isa: pool.measure_peak(isa)}})
    except CallFailed as failure:
        print(f"the peak of {isa} is not known: {failure}", file=sys.stderr)
        return host


def select_isa(target: TargetName, host: Host) -> Isa:
    """The ISA path of a job on a host: its strongest for `auto`. Raises UnsupportedTarget when the host lacks it."""
    isa = host.isas[0] if target == "auto" else Isa(target)
    if isa not in host.isas:
        raise UnsupportedTarget(f"this host cannot run {isa}; it has {', '.join(host.isas)}")
    return isa


def _hold_lease(client: AttemptClient, brief: AttemptBrief, host: Host, pool: EvaluatorPool, logs_dir: Path) -> Report:
    lease = Lease(client, brief.lease_seconds, pool.pulse)
    try:
        target = Target(isa=select_isa(brief.target, host), threads=brief.threads)
        with ExitStack() as closing:
            attempt = Attempt(client, brief, host, target, pool, logs_dir, closing)
            attempt.run()
    except Stopped:
        if lease.lost is not None:
            raise lease.lost from None
        raise
    finally:
        lease.close()
    return Finished()


class Attempt:
    """Has no list: it is assigned one workload after the other."""

    def __init__(
        self,
        client: AttemptClient,
        brief: AttemptBrief,
        host: Host,
        target: Target,
        pool: EvaluatorPool,
        logs_dir: Path,
        closing: ExitStack,
    ) -> None:
        self._client, self._pool, self._closing = client, pool, closing
        self._logs_dir, self._database_id, self._host = logs_dir, brief.database_id, host
        with writing_log():
            self._journal = journal = Journal(job_folder(logs_dir, client.order.job_id, brief.database_id))
            closing.callback(journal.close)
            writer, log = Writer(journal, client.order.attempt), TuningLog(journal)
        peak = with_peak(host, pool, target.isa).peak_gmacs.get(target.isa)
        self._tuning = WorkloadTuning(
            client, target, pool, journal, log, peak_gmacs=None if peak is None else peak * target.threads
        )
        closing.callback(self._end_log, writer, log)

    def run(self) -> None:
        """Raises Stopped, what ails the host, and what the client raises when it is of no use to go on."""
        pulse = self._pool.pulse
        deliver_leftovers(self._client, self._logs_dir, self._database_id, self._host.host_class, pulse.beat)
        while (briefed := self._client.next().workload) is not None:
            pulse.beat()
            pulse.check()
            self._take(briefed)

    def _take(self, briefed: BriefedWorkload) -> None:
        """What fails because of the workload ends it, and not the attempt."""
        reason = misfit(briefed.workload, host_memory_bytes())
        if reason is None:
            try:
                self._tuning.run(briefed)
                return
            except Exception as error:
                self._pool.pulse.check()  # whatever fails after that fails because of it
                if isinstance(error, PASSING) or ailment_of(error) is not None:
                    raise
                with writing_log():
                    self._journal.note_error(traceback.format_exc())
                reason = f"{reason_of(error)} (errors.log on {self._host.hostname} has its traceback)"
        self._pool.stop()  # whatever they are at
        self._client.report_failure(WorkloadFailure(workload_id=briefed.workload.id, reason=reason))

    def _end_log(self, writer: Writer, log: TuningLog) -> None:
        with writing_log():
            log.catch_up(waits=True)
            writer.close(self._tuning.has_delivered_all)


def carry_out(order: LaunchOrder, logs_dir: Path, pulse: Pulse) -> int:
    """Run the attempt that was ordered, and report its result. Gives the exit code of its process.

    Raises TilewrightError when the service is not there, and nothing is to be blamed for that.
    """
    with AttemptClient(order, is_hurried=pulse.is_stopped) as client:
        report = run_attempt(client, this_host(), logs_dir, pulse)
        try:
            client.report_result(report)
        except TilewrightError:
            if not isinstance(report, Failed):
                raise
            print(report.reason, file=sys.stderr)
            return exit_codes.OF_HOST
    return 0
