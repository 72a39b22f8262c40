"""How long attempts have been silent, by the clock of whoever watches. Times of two machines are never compared."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tilewright.contract.workers import AttemptKey
from tilewright_service.store.open_attempts import OpenAttempt

ABSENT_SECONDS = 5.0
"""A time of so long in which nobody looked, being busy or starved, counts as a second."""

GONE_SECONDS = 30.0
"""Who has not looked for so long, being stopped, knows nothing of what happened meanwhile."""

USUAL_SECONDS = 1.0


@dataclass
class Sight:
    """What was seen of an attempt, and when it last changed."""

    attempt: OpenAttempt
    first_seen: float
    beat_at: float
    progress_at: float
    workload_at: float
    cancelled_at: float | None = None

    def forgive(self, seconds: float) -> None:
        """As if all that was seen had been seen so much later."""
        self.first_seen += seconds
        self.beat_at += seconds
        self.progress_at += seconds
        self.workload_at += seconds
        if self.cancelled_at is not None:
            self.cancelled_at += seconds


class Watch:
    """Everything gets a fresh start when the watch begins, and when it was away itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sights: dict[AttemptKey, Sight] = {}
        self._looked_at = clock()

    def look(self, attempts: Iterable[OpenAttempt]) -> list[Sight]:
        """Take in how things are now."""
        now = self._clock()
        absence = now - self._looked_at
        if absence > GONE_SECONDS:
            self._sights.clear()
        elif absence > ABSENT_SECONDS:
            for sight in self._sights.values():
                sight.forgive(absence - USUAL_SECONDS)
        self._looked_at = now
        self._sights = {attempt.key: self._update(attempt, now) for attempt in attempts}
        return list(self._sights.values())

    def seconds_since(self, instant: float) -> float:
        return self._looked_at - instant

    def _update(self, attempt: OpenAttempt, now: float) -> Sight:
        sight = self._sights.get(attempt.key)
        if sight is None:
            return Sight(attempt, now, now, now, now, now if attempt.is_cancelled else None)
        before, sight.attempt = sight.attempt, attempt
        if attempt.beats != before.beats:
            sight.beat_at = now
        if attempt.progress != before.progress:
            sight.progress_at = now
        if attempt.workload_id != before.workload_id:
            sight.workload_at = sight.progress_at = now
        if attempt.is_cancelled and sight.cancelled_at is None:
            sight.cancelled_at = now
        return sight
