"""When a search has done enough."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

PATIENCE = 24
"""Trials without a real improvement after which a search has reached its plateau.

With 14 a third of the searches for depthwise layers stopped more than 2% before what five times the trials find, with
24 a tenth; dense layers, whose spaces are smaller, lost nothing either way. Searches were replayed against latencies of
all choices (`bench/transfer.py` measures such a table); `bench/plateau.py` asks the machine itself.
"""

FEWEST = 30
IMPROVEMENT = 0.005
"""An improvement below this share of the latency is noise."""


@dataclass(frozen=True)
class Budget:
    """What may be spent on one workload."""

    trials: int
    seconds: float | None = None
    stops_at_plateau: bool = True


class Spending:
    """What of a budget was spent, and the plateau that ends a search sooner."""

    def __init__(
        self,
        budget: Budget,
        known_best_us: float = math.inf,
        known_trials: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget, self._clock = budget, clock
        self._started = clock()
        self._proposed = 0
        self._done = 0
        self._known = known_trials
        self._since_improvement = 0
        self._plateau_us = known_best_us

    def restart_clock(self) -> None:
        """What was done until now is not a part of the search."""
        self._started = self._clock()

    @property
    def seconds(self) -> float:
        return self._clock() - self._started

    def take_trial(self) -> str | None:
        """Ask for one more trial: None, or why there is none, in one word."""
        reason = self._exit_reason()
        if reason is None:
            self._proposed += 1
        return reason

    def note_trial(self, latency_us: float | None) -> None:
        """A trial came back; None is a failure."""
        self._done += 1
        self._since_improvement += 1
        if latency_us is not None and latency_us < self._plateau_us * (1 - IMPROVEMENT):
            self._plateau_us = latency_us
            self._since_improvement = 0

    def _exit_reason(self) -> str | None:
        if self._proposed >= self._budget.trials:
            return "trials"
        if self._budget.seconds is not None and self.seconds >= self._budget.seconds:
            return "seconds"
        if not self._budget.stops_at_plateau:
            return None
        if self._known + self._done >= FEWEST and self._since_improvement >= PATIENCE:
            return "plateau"
        return None
