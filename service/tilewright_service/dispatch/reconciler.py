"""Compares what the store says with what the engine sees, about once a second, and mends the difference."""

import threading
import time
from collections.abc import Callable, Collection

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tilewright.contract.attempts import Cause, LaunchOrder
from tilewright.contract.workers import AttemptIdentity, Worker, WorkerState
from tilewright_service.dispatch.engine import Engine, EngineView
from tilewright_service.dispatch.leader import Leader
from tilewright_service.dispatch.probing import Probing
from tilewright_service.dispatch.roster import roster
from tilewright_service.dispatch.verdict import Verdict, verdict_on
from tilewright_service.dispatch.watch import Watch
from tilewright_service.metrics import Metrics
from tilewright_service.settings import Settings
from tilewright_service.store.ailing import Ailment, set_aside_hosts
from tilewright_service.store.database import Database
from tilewright_service.store.endings import end_attempt
from tilewright_service.store.lanes import WorkerFacts
from tilewright_service.store.leadership import database_id
from tilewright_service.store.open_attempts import OpenAttempt, open_attempts
from tilewright_service.store.queue import Claim, claim_next
from tilewright_service.store.waiting import Capacity, facts_of

PERIOD_SECONDS = 1.0
BREATH_SECONDS = 0.02
STRAY_SECONDS = 5.0
"""How long an attempt may take to exit after its result."""

log = structlog.get_logger()


class Reconciler:
    """Every change is one transaction before the engine is told, so that it may be killed at any point."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        settings: Settings,
        server_id: str,
        url: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._database = database
        self._engine = engine
        self._settings = settings
        self._url = url
        self._clock = clock
        with database.reading() as session:
            self._database_id = database_id(session)
        self._leader = Leader(database, server_id, clock)
        self._watch = Watch(clock)
        self._probing = Probing(database, engine, url, clock)
        self._capacity: Capacity | None = None
        self._strays: dict[AttemptIdentity, float] = {}
        self._finished_round_at: float | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do; do not wait for the next round."""
        self._wake.set()

    def stop(self) -> None:
        """Workers of this service alone die with it: put back into the queue what they are at. Others go on."""
        self._stopping = True
        self.wake()
        self._thread.join(timeout=10)
        if self._engine.is_embedded:
            with self._database.reading() as session:
                attempts = open_attempts(session)
            for attempt in attempts:
                self._end(attempt, Verdict(Cause.MOMENT, "the service was stopped"))
                self._kill(attempt)
        self._leader.leave()

    def capacity(self) -> Capacity | None:
        """The workers as the last round saw them; None before the first."""
        return self._capacity

    @property
    def last_round_seconds(self) -> float | None:
        """Since a round came to its end without an error; None before the first."""
        return None if self._finished_round_at is None else self._clock() - self._finished_round_at

    @property
    def leads(self) -> bool:
        return self._leader.leads

    def reconcile(self) -> None:
        """One round."""
        leads = self._leader.keep()
        view = self._engine.view()
        with self._database.reading() as session:
            attempts, ailing = open_attempts(session), set_aside_hosts(session)
        if leads:
            attempts = self._settle_all(attempts, view)
            self._kill_strays(attempts, view)
        workers = self._look(attempts, ailing, view)
        if leads:
            self._probing.look(workers, ailing)
            self._launch_all(workers)
        self._finished_round_at = self._clock()
        self._metrics.rounds.inc()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.reconcile()
            except Exception as error:
                # Whatever it was - a full disk, a busy database - the next round starts from the truth again.
                log.error("round_failed", error=repr(error))
                self._metrics.round_failed.inc()
                self._wake.wait(PERIOD_SECONDS)
            self._wake.wait(PERIOD_SECONDS)
            self._wake.clear()
            # Of a hundred that wake it in a second, the first of a few wakes it for them all.
            time.sleep(BREATH_SECONDS)

    def _settle_all(self, attempts: list[OpenAttempt], view: EngineView) -> list[OpenAttempt]:
        """End those that have ended or are to be ended; the others are left."""
        left = []
        for sight in self._watch.look(attempts):
            verdict = verdict_on(sight, self._database_id, self._watch, view, self._engine.is_embedded, self._settings)
            if verdict is None:
                left.append(sight.attempt)
                continue
            try:
                # The store first: from then on the attempt has no authority, whether or not its worker is reached.
                self._end(sight.attempt, verdict)
            except SQLAlchemyError as error:
                # The others are looked after all the same; this one in the next round.
                log.error("attempt_not_ended", **dict(sight.attempt.key), error=repr(error))
                left.append(sight.attempt)
                continue
            self._kill(sight.attempt)
        return left

    def _end(self, attempt: OpenAttempt, verdict: Verdict) -> None:
        with self._database.writing() as session:
            may_write = self._leader.may_write(session)
            has_ended = may_write and end_attempt(session, attempt.key, verdict.cause, verdict.reason)
        if has_ended:
            self._metrics.attempts_ended.labels(verdict.cause.value).inc()
            self._metrics.leases_lost.inc(verdict.is_of_lease)
            log.info("attempt_ended", **dict(attempt.key), cause=verdict.cause.value, reason=verdict.reason)

    def _kill(self, attempt: OpenAttempt) -> None:
        self._engine.kill(attempt.worker, AttemptIdentity.of(self._database_id, attempt.key))

    def _kill_strays(self, attempts: list[OpenAttempt], view: EngineView) -> None:
        """Attempts of this database that have no authority any more, and still hold a worker."""
        known = {attempt.key for attempt in attempts}
        strays = {
            each: name
            for name, member in view.members.items()
            for each in member.report.running
            if each.database_id == self._database_id and each.key not in known
        }
        self._strays = {stray: self._strays.get(stray, self._clock()) for stray in strays}
        for stray, since in self._strays.items():
            if self._clock() - since > STRAY_SECONDS:
                self._engine.kill(strays[stray], stray)

    def _look(self, attempts: list[OpenAttempt], ailing: dict[str, Ailment], view: EngineView) -> tuple[Worker, ...]:
        taken = {attempt.worker: attempt.key for attempt in attempts}
        workers = roster(view, self._database_id, taken, ailing)
        self._capacity = Capacity(workers, view.away)
        return workers

    def _launch_all(self, workers: Collection[Worker]) -> None:
        free = {each.name: facts_of(each) for each in workers if each.state is WorkerState.IDLE}
        team = self._capacity.team if self._capacity else []
        while free and (claim := self._claim(list(free.values()), team)) is not None:
            del free[claim.worker]
            self._launch(claim)

    def _claim(self, free: list[WorkerFacts], team: list[WorkerFacts]) -> Claim | None:
        with self._database.writing() as session:
            return claim_next(session, free, team) if self._leader.may_write(session) else None

    def _launch(self, claim: Claim) -> None:
        order = LaunchOrder(
            url=self._url(),
            database_id=self._database_id,
            job_id=claim.job_id,
            attempt=claim.attempt,
            token=claim.token,
            threads=claim.threads,
        )
        self._engine.launch(claim.worker, order)
        self._capacity = self._capacity and self._capacity.with_taken(claim.worker, order.identity.key)
        log.info("attempt_launched", job_id=claim.job_id, attempt=claim.attempt, worker=claim.worker)
