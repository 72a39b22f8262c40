"""XGBoost over features: which of the untried candidates is likely the fastest."""

import math
from collections.abc import Sequence

import numpy as np
import xgboost

from tilewright_kernels.conv2d.numerics import Array

PARAMETERS = {
    "tree_method": "hist",
    "max_depth": 4,
    "eta": 0.25,
    "lambda": 1.0,
    "min_child_weight": 0.1,
    "nthread": 1,
    "verbosity": 0,
}
ROUNDS = 40

Features = Sequence[float] | Array
"""Of one candidate."""


class CostModel:
    """Learns how much slower candidates are than the best of their workload, as log(latency / best).

    So the trials of one workload compare with those of another, whatever the two cost; and as candidates of one
    workload are ranked, it does not matter that its best is not known yet.
    """

    def __init__(self, seed: int) -> None:
        self._parameters = {**PARAMETERS, "seed": seed}
        self._features: list[Features] = []
        self._log_latencies: list[float] = []
        self._transferred: list[tuple[Array, Array, Array]] = []
        self._booster: xgboost.Booster | None = None

    @property
    def samples(self) -> int:
        """Trials of the workload itself."""
        return len(self._features)

    def add(self, features: Features, latency_us: float) -> None:
        """A trial of the workload itself."""
        self._features.append(features)
        self._log_latencies.append(math.log(latency_us))
        self._booster = None

    def add_transferred(self, features: Array, latencies_us: Sequence[float], weight: float) -> None:
        """The trials of another workload, each counting `weight` times as much as one of its own."""
        self._transferred.append((features, _slowdowns(np.log(latencies_us)), np.full(len(features), weight)))
        self._booster = None

    def predict(self, features: Sequence[Features] | Array) -> list[float]:
        """log(slowdown), one for each row."""
        if self._booster is None:
            self._booster = self._train()
        predicted: list[float] = self._booster.predict(_matrix(np.asarray(features))).tolist()
        return predicted

    def _train(self) -> xgboost.Booster:
        samples = list(self._transferred)
        if self._features:
            own = np.array(self._features), _slowdowns(np.array(self._log_latencies)), np.ones(self.samples)
            samples.append(own)
        features, slowdowns, weights = (np.concatenate(each) for each in zip(*samples, strict=True))
        parameters = {**self._parameters, "base_score": float(np.average(slowdowns, weights=weights))}
        return xgboost.train(parameters, _matrix(features, slowdowns, weights), num_boost_round=ROUNDS)


def _matrix(features: Array, labels: Array | None = None, weights: Array | None = None) -> xgboost.DMatrix:
    """Made by one thread: there is one core for it, and several would wait for each other there."""
    return xgboost.DMatrix(features, label=labels, weight=weights, nthread=1)


def _slowdowns(log_latencies: Array) -> Array:
    slowdowns: Array = log_latencies - log_latencies.min()
    return slowdowns
