"""Search in a structured space: all choices are known, so the cost model ranks every one that is left."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from tilewright.contract.attempts import History, KnownRecord
from tilewright.contract.candidates import Candidate, Choice
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule
from tilewright.workloads.similarity import distance, position_of
from tilewright_kernels.conv2d.numerics import Array
from tilewright_kernels.conv2d.spaces import StructuredSpace
from tilewright_tuning.search.cost_model import CostModel
from tilewright_tuning.search.transfer_samples import TransferSamples, find_nearest, read_transfer_samples

FIRST_BY_EXPECTATION = 6
"""Without transfer samples: how many choices the space's own simple model picks at first."""

FIRST_BY_NEIGHBOURS = 3
"""With them: best choices of the nearest workloads that are tried at first, and one more that the space expects."""

EXPLORED = 0.1
"""Share of proposals that ignore the cost model, so that what it misjudges is still found."""

TRANSFER_WEIGHT = 0.2
"""Of a transfer sample of the very same shape, by that of a trial of the workload itself; a quarter at distance 1."""


class RankedSearch:
    """The most promising untried choice first."""

    def __init__(
        self, space: StructuredSpace[Any], workload: Workload, target: Target, history: History, seed: int
    ) -> None:
        self._space, self._workload, self._target = space, workload, target
        self._random = random.Random(seed)
        self._model = CostModel(seed)
        self._choices = space.candidates(workload, target)
        self._features = self._features_of(workload, self._choices)
        self._untried = list(range(len(self._choices)))
        self._proposed: dict[str, int] = {}
        samples = read_transfer_samples(space, target, history.neighbours)
        self._add_transferred(samples)
        self._has_transfer = bool(samples)
        self._first = self._select_first(samples) if samples else []
        self._remember(history.records)

    def propose(self) -> Candidate | None:
        if not self._untried:
            return None
        choice = self._pick()
        self._untried.remove(choice)
        candidate = self._candidate(choice)
        self._proposed[candidate.id] = choice
        return candidate

    def learn(self, candidate: Candidate, latency_us: float | None) -> None:
        choice = self._proposed.get(candidate.id)
        if choice is not None and latency_us is not None:
            self._model.add(self._features[choice], latency_us)

    def close(self) -> None:
        """Nothing was started."""

    def _add_transferred(self, samples: list[TransferSamples]) -> None:
        here = position_of(self._workload)
        for each in samples:
            weight = TRANSFER_WEIGHT / (1 + distance(here, position_of(each.workload))) ** 2
            self._model.add_transferred(self._features_of(each.workload, each.choices), each.latencies_us, weight)

    def _select_first(self, samples: list[TransferSamples]) -> list[int]:
        """Before anything is measured: what was best for the neighbours, and what the space expects to be."""
        nearest = (find_nearest(each.choices[0], self._choices) for each in samples)
        first = list(dict.fromkeys(nearest))[:FIRST_BY_NEIGHBOURS]
        first += [choice for choice in self._untried if choice not in first][:1]
        predicted = dict(zip(first, self._model.predict(self._features[first]), strict=True))
        return sorted(first, key=predicted.__getitem__)

    def _pick(self) -> int:
        if self._first:
            return self._first.pop(0)
        if not self._has_transfer and self._model.samples < FIRST_BY_EXPECTATION:
            return self._untried[0]
        if self._random.random() < EXPLORED:
            return self._random.choice(self._untried)
        predicted = self._model.predict(self._features[self._untried])
        return self._untried[min(range(len(predicted)), key=predicted.__getitem__)]

    def _remember(self, records: Sequence[KnownRecord]) -> None:
        """Learn from what is known, and never propose it again, whichever version of the space chose it."""
        for record in records:
            choice = self._index_of(record.choice)
            if choice in self._untried:
                self._untried.remove(choice)
                if record.latency_us is not None:
                    self._model.add(self._features[choice], record.latency_us)
        self._first = [choice for choice in self._first if choice in self._untried]

    def _index_of(self, choice: Choice | None) -> int | None:
        """Of a choice of this or an earlier version, among all; None for what is not among them."""
        try:
            decisions = choice and self._space.read(choice, self._workload, self._target)
        except ForeignSchedule:
            return None
        return self._choices.index(decisions) if decisions in self._choices else None

    def _candidate(self, choice: int) -> Candidate:
        return self._space.choice(self._choices[choice])

    def _features_of(self, workload: Workload, choices: Sequence[Any]) -> Array:
        return np.array([self._space.features(workload, self._target, choice) for choice in choices])
