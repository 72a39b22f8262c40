"""XGBoost over the features of a structured space: which of the untried choices is likely the fastest."""

import math

import numpy as np
import xgboost

PARAMETERS = {"max_depth": 4, "eta": 0.25, "lambda": 1.0, "min_child_weight": 1, "nthread": 1, "verbosity": 0}
ROUNDS = 40


class CostModel:
    """Learns log(latency) from features. Choices of one workload are ranked, so a common factor does not matter."""

    def __init__(self, seed: int) -> None:
        self._parameters = {**PARAMETERS, "seed": seed}
        self._features: list[list[float]] = []
        self._log_latencies: list[float] = []
        self._booster: xgboost.Booster | None = None

    @property
    def samples(self) -> int:
        return len(self._features)

    def add(self, features: list[float], latency_us: float) -> None:
        self._features.append(features)
        self._log_latencies.append(math.log(latency_us))
        self._booster = None

    def predict(self, features: list[list[float]]) -> list[float]:
        """log(us), one for each row."""
        if self._booster is None:
            self._booster = self._train()
        predicted: list[float] = self._booster.predict(xgboost.DMatrix(np.array(features))).tolist()
        return predicted

    def _train(self) -> xgboost.Booster:
        data = xgboost.DMatrix(np.array(self._features), label=np.array(self._log_latencies))
        parameters = {**self._parameters, "base_score": float(np.mean(self._log_latencies))}
        return xgboost.train(parameters, data, num_boost_round=ROUNDS)
