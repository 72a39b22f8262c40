"""One workload of an attempt: tuned, its trials written down and sent, its schedule published."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import BriefedWorkload, History, Publication, RecordBatch, WorkloadOutcome
from tilewright.contract.candidates import Candidate, candidate_fields
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright.errors import ScheduleChanged, UnwritableLog
from tilewright_tuning.budget import Budget
from tilewright_tuning.child_process import CallFailed
from tilewright_tuning.finals import Rejection, Winner, decide
from tilewright_tuning.measurement import spread_us
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.pulse import Stopped
from tilewright_tuning.trials import Trial
from tilewright_tuning.tuning import Tuned, tune
from tilewright_worker.journal import Journal
from tilewright_worker.leftovers import send_what_is_taken
from tilewright_worker.provenance import make_provenance, make_record
from tilewright_worker.record_sender import RecordSender
from tilewright_worker.tuning_log import TuningLog

PUBLISHING_TRIES = 3
MOST_SCRIPT = 1_000_000
"""Characters that a publication takes."""

CUT = "\n# and so on: the rest is too long to be kept"
LAST_SECONDS = 3.0
"""For records that are on their way when the attempt is stopped; the journal has them all the same."""


class WorkloadTuning:
    """What all workloads of an attempt share, and what is done with each."""

    def __init__(
        self,
        client: AttemptClient,
        target: Target,
        pool: EvaluatorPool,
        journal: Journal,
        log: TuningLog,
        peak_gmacs: float | None,
    ) -> None:
        self._client, self._target, self._pool = client, target, pool
        self._journal, self._log, self._peak_gmacs = journal, log, peak_gmacs
        self.has_delivered_all = True

    def run(self, briefed: BriefedWorkload) -> None:
        """Raises Stopped, and whatever keeps the workload from being tuned."""
        workload, started = briefed.workload, time.monotonic()
        with writing_log():
            self._journal.begin(workload)
            self._pool.avoided = self._journal.crashed(workload.id)
        history = self._client.history(workload.id, self._target.isa, neighbours=True)
        tuned = self._tune(briefed, history)
        self._pool.pulse.check()
        print_rejections(workload, tuned.rejections)
        schedule = self._publish(workload, tuned, history)
        self._client.report_outcome(
            WorkloadOutcome(
                workload_id=workload.id,
                stop_reason=tuned.exit_reason,
                seconds=time.monotonic() - started,
                schedule_id=schedule.id if schedule else None,
            )
        )

    def _tune(self, briefed: BriefedWorkload, history: History) -> Tuned:
        sender = RecordSender(self._deliver)
        try:
            tuned = tune(
                briefed.workload,
                self._target,
                Budget(briefed.trials, briefed.seconds),
                history,
                self._pool,
                on_trial=self._store_trial(briefed.workload, sender),
                is_cancelled=self._pool.pulse.is_stopped,
                with_default=True,
            )
            sender.flush(LAST_SECONDS if self._pool.pulse.is_stopped() else None)
            return tuned
        except Stopped:
            sender.flush(LAST_SECONDS)
            raise
        finally:
            sender.close()
            self.has_delivered_all = self.has_delivered_all and sender.has_sent_all
            self._note_crashed(briefed.workload)

    def _store_trial(self, workload: Workload, sender: RecordSender) -> Callable[[Trial], None]:
        def store(trial: Trial) -> None:
            """On disk first, then on its way."""
            record = make_record(self._client.order, self._target, workload, trial)
            with writing_log():
                self._journal.append(record)
            sender.send(record)

        return store

    def _deliver(self, batch: RecordBatch) -> None:
        """Off the way of the search: TVM takes its time to make traces of choices for the tuning log."""
        send_what_is_taken(self._client, batch.records)
        with writing_log():
            self._log.catch_up()

    def _note_crashed(self, workload: Workload) -> None:
        with writing_log():
            for candidate_id in self._pool.avoided - self._journal.crashed(workload.id):
                self._journal.note_crashed(workload.id, candidate_id)

    def _publish(self, workload: Workload, tuned: Tuned, history: History) -> Schedule | None:
        """The workload's schedule: the incumbent, or a challenger that beat it."""
        incumbent, winner = history.incumbent, tuned.winner
        for _ in range(PUBLISHING_TRIES):
            if winner is None or (incumbent is not None and winner.candidate.id == incumbent.candidate):
                break
            try:
                return self._client.publish(self._make_publication(workload, winner, incumbent, tuned.default_us))
            except ScheduleChanged:
                incumbent = self._client.history(workload.id, self._target.isa).incumbent
                decision = decide(self._pool, tuned.ranking, incumbent.as_candidate if incumbent else None)
                print_rejections(workload, decision.rejections)
                winner = decision.winner
        return incumbent

    def _make_publication(
        self, workload: Workload, winner: Winner, incumbent: Schedule | None, default_us: float | None
    ) -> Publication:
        return Publication(
            workload_id=workload.id,
            target=self._target,
            **candidate_fields(winner.candidate),
            latencies_us=winner.latencies_us,
            latency_us=winner.latency_us,
            spread_us=spread_us(winner.latencies_us),
            peak_gmacs=self._peak_gmacs,
            default_latency_us=default_us,
            verification=winner.verification,
            proof=winner.instruction_count,
            script=self._script(winner.candidate),
            replaces=incumbent.id if incumbent else None,
            provenance=make_provenance(self._client.order),
        )

    def _script(self, candidate: Candidate) -> str:
        """For people to read: what it lacks keeps no kernel from being served."""
        try:
            script = self._pool.write_script(candidate)
        except CallFailed:
            return ""
        return script if len(script) <= MOST_SCRIPT else script[: MOST_SCRIPT - len(CUT)] + CUT


@contextmanager
def writing_log() -> Iterator[None]:
    """Whatever keeps us from writing where we always write ails the host."""
    try:
        yield
    except OSError as error:
        raise UnwritableLog(f"this worker cannot write its tuning log: {error}") from error


def print_rejections(workload: Workload, rejections: Iterable[Rejection]) -> None:
    for each in rejections:
        print(f"{workload.name}: candidate {each.candidate.id} is not served: {each.reason}", file=sys.stderr)
