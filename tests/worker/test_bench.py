import os
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tilewright.contract import FailureKind
from tilewright.contract.candidates import Candidate
from tilewright_tuning import trials
from tilewright_tuning.cores import Cores
from tilewright_tuning.evaluation import Build, Measure
from tilewright_tuning.evaluator import EvaluationFailed, Evaluator
from tilewright_tuning.trials import Bench, Trial

from .examples import DENSE, SEGFAULTS, TARGET, builds_for_ages, does_not_apply, good_candidate, tiled

BUILD_SECONDS = 3.0


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench(Cores.of_this_process(1), build_seconds=BUILD_SECONDS) as bench:
        bench.prepare(DENSE, TARGET)
        yield bench


def run(bench: Bench, *candidates: Candidate) -> list[Trial]:
    """The trials, in the order of the candidates."""
    waiting, done = list(candidates), list[Trial]()
    bench.run(lambda: waiting.pop(0) if waiting else None, done.append, lambda: 1e9, lambda: False)
    return sorted(done, key=lambda trial: candidates.index(trial.candidate))


def assert_costs_one_trial(bench: Bench, bad: Candidate, failure: FailureKind, reason: str) -> None:
    first, second, third = tiled(4), tiled(8), tiled(16)
    before, failed, *after = run(bench, first, bad, second, third)
    assert failed.failure is failure
    assert failed.reason is not None
    assert reason in failed.reason
    assert failed.latencies_us == []
    for trial in (before, *after):
        assert trial.failure is None, trial.reason
        assert trial.latency_us > 0


def test_good_candidates_are_measured_several_times(bench: Bench) -> None:
    measured = run(bench, good_candidate(), tiled(4), tiled(8), tiled(16))
    assert [trial.failure for trial in measured] == [None] * 4
    assert all(len(trial.latencies_us) == trials.REPEATS for trial in measured)


def test_a_candidate_that_kills_the_process_costs_one_trial(bench: Bench) -> None:
    assert_costs_one_trial(bench, SEGFAULTS, FailureKind.CRASH, "SIGSEGV")


def test_a_trace_that_does_not_apply_costs_one_trial(bench: Bench) -> None:
    assert_costs_one_trial(bench, does_not_apply(), FailureKind.BUILD_ERROR, "no_such_block")


def test_a_build_that_hangs_costs_one_trial(bench: Bench) -> None:
    assert_costs_one_trial(bench, builds_for_ages(), FailureKind.TIMEOUT, f"{BUILD_SECONDS:g} s")


def test_failures_in_a_row_each_cost_one_trial(bench: Bench) -> None:
    outcomes = run(bench, SEGFAULTS, does_not_apply(), tiled(4))
    assert [trial.failure for trial in outcomes] == [FailureKind.CRASH, FailureKind.BUILD_ERROR, None]


def test_a_candidate_far_behind_the_best_is_measured_once(bench: Bench) -> None:
    waiting, done = [tiled(1)], list[Trial]()
    bench.run(lambda: waiting.pop() if waiting else None, done.append, lambda: 0.001, lambda: False)
    assert [len(trial.latencies_us) for trial in done] == [1]


def test_what_was_measured_is_at_hand_afterwards_even_when_its_process_died(bench: Bench) -> None:
    candidate = tiled(8)
    run(bench, candidate)
    with pytest.raises(EvaluationFailed):
        bench.measure_alone(SEGFAULTS, repeats=1)
    assert len(bench.measure_alone(candidate, repeats=3)) == 3
    assert bench.verify(candidate).passed is not None


@pytest.mark.parametrize("candidate", [tiled(8), builds_for_ages()], ids=["quick", "slow"])
def test_a_cancelled_run_ends_within_a_second(candidate: Candidate) -> None:
    cancelled_at: list[float] = []
    with Bench(Cores.of_this_process(1), build_seconds=60) as bench:
        bench.prepare(DENSE, TARGET)
        run(bench, tiled(4))  # its processes have started
        threading.Timer(0.7, lambda: cancelled_at.append(time.monotonic())).start()
        bench.run(lambda: candidate, lambda trial: None, lambda: 1e9, lambda: bool(cancelled_at))
        assert time.monotonic() - cancelled_at[0] < 1.0


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a core to build on")
def test_nothing_else_runs_on_the_cores_that_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "Evaluator", WatchedEvaluator)
    cores = Cores.of_this_process(1)
    with Bench(cores) as bench:
        bench.prepare(DENSE, TARGET)
        run(bench, *(tiled(width) for width in (1, 2, 4, 8, 16, 32)), SEGFAULTS, good_candidate())
    measurements = [step for step in WatchedEvaluator.steps if step.kind == "Measure"]
    assert len(measurements) >= 7, "one each, and again where something else disturbed them"
    assert all(step.cores == cores.measuring for step in measurements)
    during = [step for step in WatchedEvaluator.steps if step.while_measuring]
    assert any(step.builders for step in during), "builds overlap with measurements"
    for step in during:
        assert step.kind != "Measure" or not step.others_measuring
        for builder in step.builders:
            assert not builder & cores.measuring


class Step(NamedTuple):
    """What one process begins, and where the kernel lets each busy process run from then on."""

    kind: str
    cores: frozenset[int]
    others_measuring: bool
    while_measuring: bool
    builders: list[frozenset[int]]


class WatchedEvaluator(Evaluator):
    """The real one, taking notes."""

    steps: list[Step] = []
    busy: dict[int, str] = {}

    def begin(self, command: Any, timeout_seconds: float) -> None:
        if isinstance(command, Build | Measure):
            self._note(type(command).__name__)
        super().begin(command, timeout_seconds)

    def finish(self, kind: FailureKind) -> Any:
        pid = self._pid
        try:
            return super().finish(kind)
        finally:
            self.busy.pop(pid, None)

    def _note(self, kind: str) -> None:
        measuring = "Measure" in self.busy.values()
        self.busy[self._pid] = kind
        builders = [frozenset(os.sched_getaffinity(pid)) for pid, what in self.busy.items() if what == "Build"]
        while_measuring = "Measure" in self.busy.values()
        cores = frozenset(os.sched_getaffinity(self._pid))
        self.steps.append(Step(kind, cores, measuring, while_measuring, builders))

    @property
    def _pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid
