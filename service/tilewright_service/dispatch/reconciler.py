"""Compares what the store says with what the engine sees, about once a second, and mends the difference."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptEnd, AttemptKey
from tilewright_service.dispatch.engine import Engine, EngineState
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.endings import end_attempt
from tilewright_service.store.instant import now
from tilewright_service.store.queue import Claim, OpenAttempt, claim_next, count_queued, open_attempts
from tilewright_service.store.waiting import Capacity

PERIOD_SECONDS = 1.0
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
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._engine = engine
        self._settings = settings
        self._server_id = server_id
        self._url = url
        self._clock = clock
        self._capacity: Capacity | None = None
        self._strays: dict[AttemptKey, float] = {}
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do; do not wait for the next round."""
        self._wake.set()

    def stop(self) -> None:
        """Kill what runs here and put it back into the queue: the next service goes on with it."""
        self._stopping = True
        self.wake()
        self._thread.join(timeout=10)
        for attempt in self._own_attempts():
            self._end(attempt, "the service was stopped", is_blameless=True)
            self._engine.kill(_key(attempt))

    @property
    def last_round_seconds(self) -> float | None:
        """Since the last round that was made; None while another service leads."""
        return None

    def capacity(self) -> Capacity | None:
        """What was left of the workers after the last round; None when nothing waits for them."""
        return self._capacity

    def reconcile(self) -> None:
        """One round."""
        engine_state = self._engine.list()
        with self._database.reading() as session:
            attempts = open_attempts(session)
            queued = count_queued(session)
        for attempt in attempts:
            self._settle(attempt, engine_state)
        self._kill_strays(engine_state, attempts)
        if queued or engine_state.ended:
            self._launch_all()
        else:
            self._capacity = None

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.reconcile()
            except Exception as error:
                # Whatever it was - a full disk, a busy database - the next round starts from the truth again.
                log.error("round_failed", error=repr(error))
                self._capacity = None
                self._wake.wait(PERIOD_SECONDS)
            self._wake.wait(PERIOD_SECONDS)
            self._wake.clear()

    def _settle(self, attempt: OpenAttempt, engine_state: EngineState) -> None:
        key = _key(attempt)
        end = engine_state.ended.get(key)
        if end is not None:
            self._end(attempt, _reason(end), is_blameless=end.is_busy)
        elif self._has_vanished(attempt, engine_state):
            self._end(attempt, "the service was restarted", is_blameless=True)
        elif attempt.lease_expires_at < self._clock():
            self._kill_and_end(attempt, "the attempt has not been heard of; its lease has expired")
        elif self._ignores_cancel(attempt):
            self._kill_and_end(attempt, "the attempt did not stop when its job was cancelled")

    def _has_vanished(self, attempt: OpenAttempt, engine_state: EngineState) -> bool:
        is_ours = self._engine.is_embedded and attempt.server_id == self._server_id
        return is_ours and _key(attempt) not in engine_state.running

    def _ignores_cancel(self, attempt: OpenAttempt) -> bool:
        if attempt.cancel_requested_at is None:
            return False
        patience = timedelta(seconds=self._settings.cancel_seconds)
        return attempt.cancel_requested_at + patience < self._clock()

    def _kill_and_end(self, attempt: OpenAttempt, reason: str) -> None:
        """The store first: from then on the attempt has no authority, whether or not the engine reaches it."""
        self._end(attempt, reason)
        self._engine.kill(_key(attempt))

    def _end(self, attempt: OpenAttempt, reason: str, is_blameless: bool = False) -> None:
        with self._database.writing() as session:
            has_ended = end_attempt(session, attempt.job_id, attempt.number, reason, is_blameless)
        if has_ended:
            log.info("attempt_ended", job_id=attempt.job_id, attempt=attempt.number, reason=reason)

    def _kill_strays(self, engine_state: EngineState, attempts: list[OpenAttempt]) -> None:
        """Attempts that have no authority any more, and still hold a slot."""
        strays = engine_state.running - {_key(attempt) for attempt in attempts}
        self._strays = {key: self._strays.get(key, time.monotonic()) for key in strays}
        for key, since in self._strays.items():
            if time.monotonic() - since > STRAY_SECONDS:
                self._engine.kill(key)

    def _launch_all(self) -> None:
        workers = self._engine.capacity()
        cores = max((worker.cores for worker in workers), default=0)
        free = sorted(worker.cores for worker in workers if worker.running is None)
        while free and (claim := self._claim(cores, free[-1])) is not None:
            free.remove(min(each for each in free if each >= claim.threads))
            self._launch(claim)
        self._capacity = Capacity(cores, max(free, default=0))

    def _claim(self, cores: int, free_cores: int) -> Claim | None:
        with self._database.writing() as session:
            return claim_next(session, cores, free_cores, self._server_id, self._settings.launch_seconds)

    def _launch(self, claim: Claim) -> None:
        order = LaunchOrder(
            url=self._url(), job_id=claim.job_id, attempt=claim.attempt, token=claim.token, threads=claim.threads
        )
        self._engine.launch(order)
        log.info("attempt_launched", job_id=claim.job_id, attempt=claim.attempt)

    def _own_attempts(self) -> list[OpenAttempt]:
        with self._database.reading() as session:
            return [attempt for attempt in open_attempts(session) if attempt.server_id == self._server_id]


def _key(attempt: OpenAttempt) -> AttemptKey:
    return AttemptKey(job_id=attempt.job_id, attempt=attempt.number)


def _reason(end: AttemptEnd) -> str:
    return end.reason or "the attempt ended without a result"
