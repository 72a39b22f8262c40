"""One measurement of a kernel, and whether it can be trusted."""

import math
import statistics
from dataclasses import dataclass

DRIFT = 0.08
"""A canary this much slower than at its best tells of a lower clock or of somebody else on the core.

On a virtual machine nearly all readings of a quiet minute lie within 6% of the best, and three of four of a noisy one.
"""

WIDE = 0.05
"""A spread above this share of the latency tells of a disturbance in the middle of a measurement."""

NEAR = 1.1
"""What is slower than this many times the best, even with the disturbance taken off, cannot become the best."""


@dataclass(frozen=True)
class Measurement:
    """One mean of each repeat, in us, and the canary of the same moment: the slower of a reading before and after."""

    latencies_us: list[float]
    canary_us: float

    @property
    def latency_us(self) -> float:
        """Median over the repeats."""
        return statistics.median(self.latencies_us)

    @property
    def is_wide(self) -> bool:
        return spread_us(self.latencies_us) > WIDE * self.latency_us


def spread_us(latencies_us: list[float]) -> float:
    """Interquartile range."""
    if len(latencies_us) < 2:
        return 0.0
    first, _, third = statistics.quantiles(latencies_us, n=4, method="inclusive")
    return third - first


class Pace:
    """How fast the measuring cores are on one path, against the best that was observed."""

    def __init__(self) -> None:
        self._best_us = math.inf

    def observe(self, measurement: Measurement) -> None:
        self._best_us = min(self._best_us, measurement.canary_us)

    def slowdown(self, measurement: Measurement) -> float:
        """Of an observed measurement, its canary over the best so far: 1.0 on cores that are as fast as ever."""
        return measurement.canary_us / self._best_us


def is_suspect(measurement: Measurement, slowdown: float, best_us: float) -> bool:
    """Whether it was disturbed, and matters: a candidate far behind the best stays behind, whatever disturbed it."""
    if min(measurement.latencies_us) / slowdown > NEAR * best_us:
        return False
    return slowdown > 1 + DRIFT or measurement.is_wide
