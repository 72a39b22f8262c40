"""When a search has done enough."""

import math
import time
from collections.abc import Callable

PATIENCE = 24
"""Trials without a real improvement after which a search has reached its plateau.

With 14 a third of the searches for depthwise layers stopped more than 2% before what five times the trials find, with
24 a tenth; dense layers, whose spaces are smaller, lost nothing either way. Searches were replayed against latencies of
all choices (`bench/transfer.py` measures such a table); `bench/plateau.py` asks the machine itself.
"""

FEWEST = 30
IMPROVEMENT = 0.005
"""An improvement below this share of the latency is noise."""


class Budget:
    """Trials and seconds that may be spent on one workload, and the plateau that ends it sooner."""

    def __init__(
        self,
        trials: int,
        seconds: float | None,
        known_best_us: float = math.inf,
        known_trials: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trials, self._seconds, self._clock = trials, seconds, clock
        self._started = clock()
        self._proposed = 0
        self._done = 0
        self._known = known_trials
        self._since_improvement = 0
        self._plateau_us = known_best_us
        self.best_us = known_best_us

    @property
    def seconds_spent(self) -> float:
        return self._clock() - self._started

    def take(self) -> bool:
        """Ask for one more trial."""
        if self.exhausted() is not None:
            return False
        self._proposed += 1
        return True

    def note(self, latency_us: float | None) -> None:
        """A trial came back; None is a failure."""
        self._done += 1
        self._since_improvement += 1
        if latency_us is None:
            return
        self.best_us = min(self.best_us, latency_us)
        if latency_us < self._plateau_us * (1 - IMPROVEMENT):
            self._plateau_us = latency_us
            self._since_improvement = 0

    def exhausted(self) -> str | None:
        """Why no further trial may begin, in one word, or None."""
        if self._proposed >= self._trials:
            return "trials"
        if self._seconds is not None and self.seconds_spent >= self._seconds:
            return "seconds"
        if self._known + self._done >= FEWEST and self._since_improvement >= PATIENCE:
            return "plateau"
        return None
