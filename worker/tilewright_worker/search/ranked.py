"""Search in a structured space: all choices are known, so the cost model ranks every one that is left."""

import random

from tvm.s_tir import Schedule

from tilewright.contract.attempts import KnownRecord
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.build import Candidate, definition, trace_of
from tilewright_kernels.spaces import Choice, StructuredSpace
from tilewright_worker.search.cost_model import CostModel

FIRST_BY_EXPECTATION = 6
"""How many choices the space's own simple model picks before the learned one takes over."""

EXPLORED = 0.1
"""Share of proposals that ignore the cost model, so that what it misjudges is still found."""


class RankedSearch:
    """The most promising untried choice first."""

    def __init__(
        self, space: StructuredSpace, workload: Workload, target: Target, known: list[KnownRecord], seed: int
    ) -> None:
        self._space, self._workload, self._target = space, workload, target
        self._random = random.Random(seed)
        self._model = CostModel(seed)
        self._untried = list(space.choices(workload, target))
        self._proposed: dict[str, Choice] = {}
        self._remember({record.candidate: record.latency_us for record in known})

    def propose(self) -> Candidate | None:
        if not self._untried:
            return None
        choice = self._untried.pop(self._pick())
        candidate = self._candidate(choice)
        self._proposed[candidate.id] = choice
        return candidate

    def learn(self, candidate: Candidate, latency_us: float | None) -> None:
        choice = self._proposed.get(candidate.id)
        if choice is not None and latency_us is not None:
            self._model.add(self._features(choice), latency_us)

    def _pick(self) -> int:
        if self._model.samples < FIRST_BY_EXPECTATION:
            return 0
        if self._random.random() < EXPLORED:
            return self._random.randrange(len(self._untried))
        predicted = self._model.predict([self._features(choice) for choice in self._untried])
        return min(range(len(predicted)), key=predicted.__getitem__)

    def _remember(self, latencies: dict[str, float | None]) -> None:
        """Learn from what is known, and never propose it again."""
        if not latencies:
            return
        untried = []
        for choice in self._untried:
            candidate = self._candidate(choice)
            if candidate.id in latencies:
                self._proposed[candidate.id] = choice
                self.learn(candidate, latencies[candidate.id])
            else:
                untried.append(choice)
        self._untried = untried

    def _candidate(self, choice: Choice) -> Candidate:
        sch = Schedule(definition(self._space.name, self._workload))
        self._space.schedule(sch, self._workload, self._target, choice)
        return Candidate(self._space.name, trace_of(sch))

    def _features(self, choice: Choice) -> list[float]:
        return self._space.features(self._workload, self._target, choice)
