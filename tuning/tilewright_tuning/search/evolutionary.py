# mypy: disable-error-code="misc"
"""Search in the generic space: MetaSchedule's evolution, with our cost model."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from tilewright.contract.candidates import GENERIC, Candidate, GenericTrace
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.generic.evolution import tune_context
from tilewright_kernels.runtime.build import definition, scheduled, trace_of
from tilewright_tuning.search.cost_model import CostModel

POPULATION = 32
BATCH = 16
EMPTY_BATCHES = 3
"""After so many batches in a row without a new candidate the space counts as exhausted."""

UNLIMITED = 1_000_000


@derived_object
class EvolutionCostModel(ms.cost_model.PyCostModel):
    """Scores for MetaSchedule's evolution: the higher, the faster. Without samples all are alike."""

    def __init__(self, model: CostModel) -> None:
        super().__init__()
        self._model = model
        self.extractor = ms.feature_extractor.PerStoreFeature()

    def predict(self, context: Any, candidates: list[Any]) -> Any:
        if self._model.samples < BATCH // 2:
            return np.random.default_rng(self._model.samples).random(len(candidates))
        return -np.array(self._model.predict(self.features(context, candidates)), dtype=np.float64)

    def features(self, context: Any, candidates: list[Any]) -> list[list[float]]:
        """Over the stores of a program, which vary in number: the largest and the mean of each feature."""
        stores = [array.numpy() for array in self.extractor.extract_from(context, candidates)]
        return [np.concatenate([array.max(axis=0), array.mean(axis=0)]).tolist() for array in stores]

    def update(self, context: Any, candidates: list[Any], results: list[Any]) -> None:
        """Trials reach the model through EvolutionarySearch.learn, one at a time."""

    def load(self, path: str) -> None:
        raise NotImplementedError("stored models are pickles; this one is trained from records")

    def save(self, path: str) -> None:
        raise NotImplementedError("stored models are pickles; this one is trained from records")


class EvolutionarySearch:
    """Batches from MetaSchedule, handed out one by one; known candidates are passed over.

    It runs TVM on traces that others have made, so it belongs into a process that may die of them: GenericSearch.
    """

    def __init__(self, workload: Workload, target: Target, seen: Iterable[str], seed: int) -> None:
        """`seen` has the ids of candidates that are not proposed."""
        self._workload, self._target = workload, target
        self._model = CostModel(seed)
        self._evolution_model = EvolutionCostModel(self._model)
        self._database = ms.database.MemoryDatabase()
        self._context = tune_context(definition(GENERIC, workload), target, POPULATION, seed + 1)
        self._context.pre_tuning(UNLIMITED, BATCH, database=self._database, cost_model=self._evolution_model)
        self._entry = self._database.commit_workload(self._context.mod)
        self._seen = set(seen)
        self._pending: dict[str, Any] = {}
        self._batch: list[GenericTrace] = []

    def propose(self) -> GenericTrace | None:
        for _ in range(EMPTY_BATCHES):
            if not self._batch and not self._fill_batch():
                return None
            if self._batch:
                return self._batch.pop(0)
        return None

    def learn(self, candidate_id: str, latency_us: float | None) -> None:
        measured = self._pending.pop(candidate_id, None)
        if measured is None or latency_us is None:
            return
        self._model.add(self._evolution_model.features(self._context, [measured])[0], latency_us)
        self._commit(measured.sch.trace, latency_us, measured.args_info)

    def remember(self, candidate: Candidate, latency_us: float) -> None:
        """A known trace becomes a parent of the next generation. Raises ForeignSchedule for one that does not fit."""
        sch = scheduled(self._workload, self._target, candidate)
        measurable = ms.MeasureCandidate(sch, ms.arg_info.ArgInfo.from_entry_func(self._context.mod))
        self._model.add(self._evolution_model.features(self._context, [measurable])[0], latency_us)
        self._commit(sch.trace, latency_us, measurable.args_info)

    def _fill_batch(self) -> bool:
        """With new candidates; False when MetaSchedule has no more."""
        generated = self._context.generate_measure_candidates()
        if generated is None:
            return False
        for measurable in generated:
            candidate = GenericTrace(trace=trace_of(measurable.sch))
            if candidate.id not in self._seen:
                self._seen.add(candidate.id)
                self._pending[candidate.id] = measurable
                self._batch.append(candidate)
        # Results come back one by one and late; for MetaSchedule the batch is over as soon as it is handed out.
        nothing = [ms.runner.RunnerResult(None, "not measured yet") for _ in generated]
        self._context.notify_runner_results(generated, nothing)
        return True

    def _commit(self, trace: Any, latency_us: float, args_info: Any) -> None:
        record = ms.database.TuningRecord(trace, self._entry, [latency_us / 1e6], self._context.target, args_info)
        self._database.commit_tuning_record(record)
