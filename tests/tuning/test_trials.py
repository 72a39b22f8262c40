import os
import time
from collections.abc import Generator, Iterator
from functools import partial
from itertools import repeat
from threading import Timer
from typing import Any, NamedTuple

import pytest

from tilewright.contract.candidates import Candidate
from tilewright.contract.records import FailureKind
from tilewright_tuning.child_process import Call, ProcessEnded
from tilewright_tuning.cores import Cores
from tilewright_tuning.evaluation import Build, Measure
from tilewright_tuning.evaluator import Evaluator
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.trials import REPEATS, Failed, Measured, Trial, run_trials
from tilewright_tuning.verification import Mismatch

from .examples import DENSE, SEGFAULTS, TARGET, builds_for_ages, does_not_apply, good_candidate, tiled

pytestmark = pytest.mark.alone

BUILD_SECONDS = 2.0
BUILD_FOR_AGES_SECONDS = 60.0


@pytest.fixture(scope="module")
def pool() -> Iterator[EvaluatorPool]:
    with EvaluatorPool(Cores.of_this_process(1), build_seconds=BUILD_SECONDS) as pool:
        pool.prepare(DENSE, TARGET)
        yield pool


def run(pool: EvaluatorPool, *candidates: Candidate) -> list[Trial]:
    """The trials, in the order of the candidates."""
    return sorted(run_trials(pool, candidates), key=lambda trial: candidates.index(trial.candidate))


def assert_costs_one_trial(pool: EvaluatorPool, bad: Candidate, kind: FailureKind, reason: str) -> None:
    before, failed, *after = run(pool, tiled(4), bad, tiled(8), tiled(16))
    assert isinstance(failed, Failed)
    assert failed.kind is kind
    assert reason in failed.reason
    for trial in (before, *after):
        assert isinstance(trial, Measured), trial
        assert trial.latency_us > 0


def test_good_candidates_are_measured_several_times(pool: EvaluatorPool) -> None:
    measured = [trial for each in (good_candidate(), tiled(4), tiled(8)) for trial in run_trials(pool, [each])]
    assert [len(trial.latencies_us) for trial in measured if isinstance(trial, Measured)] == [REPEATS] * 3


def test_a_candidate_that_kills_the_process_costs_one_trial(pool: EvaluatorPool) -> None:
    assert_costs_one_trial(pool, SEGFAULTS, FailureKind.CRASH, "SIGSEGV")


def test_a_trace_that_does_not_apply_costs_one_trial(pool: EvaluatorPool) -> None:
    assert_costs_one_trial(pool, does_not_apply(), FailureKind.BUILD_ERROR, "no_such_block")


def test_a_build_that_hangs_costs_one_trial(pool: EvaluatorPool) -> None:
    assert_costs_one_trial(pool, builds_for_ages(), FailureKind.TIMEOUT, f"{BUILD_SECONDS:g} s")


def test_failures_in_a_row_each_cost_one_trial(pool: EvaluatorPool) -> None:
    outcomes = run(pool, SEGFAULTS, does_not_apply(), tiled(4))
    kinds = [trial.kind if isinstance(trial, Failed) else None for trial in outcomes]
    assert kinds == [FailureKind.CRASH, FailureKind.BUILD_ERROR, None]


def test_a_candidate_far_behind_the_best_is_measured_once(pool: EvaluatorPool) -> None:
    [trial] = run_trials(pool, [tiled(1)], known_best_us=0.001)
    assert isinstance(trial, Measured)
    assert len(trial.latencies_us) == 1


def test_what_was_measured_is_at_hand_afterwards_even_when_its_process_died(pool: EvaluatorPool) -> None:
    candidate = tiled(8)
    run(pool, candidate)
    with pytest.raises(ProcessEnded, match="SIGSEGV"):
        pool.measure(SEGFAULTS, repeats=1)
    assert len(pool.measure(candidate, repeats=3)) == 3
    assert not isinstance(pool.verify(candidate), Mismatch)


@pytest.mark.parametrize("candidate", [tiled(8), builds_for_ages()], ids=["quick", "slow"])
def test_a_cancelled_run_does_not_wait_for_what_is_under_way(candidate: Candidate) -> None:
    cancelled_at: list[float] = []
    with EvaluatorPool(Cores.of_this_process(1), build_seconds=BUILD_FOR_AGES_SECONDS) as pool:
        pool.prepare(DENSE, TARGET)
        run(pool, tiled(4))  # its processes have started
        Timer(0.4, lambda: cancelled_at.append(time.monotonic())).start()
        for _ in run_trials(pool, repeat(candidate), is_cancelled=lambda: bool(cancelled_at)):
            pass
        assert time.monotonic() - cancelled_at[0] < BUILD_FOR_AGES_SECONDS / 4


def test_what_is_under_way_is_dropped_when_nobody_takes_trials_any_more(pool: EvaluatorPool) -> None:
    trials = run_trials(pool, repeat(tiled(8)))
    assert isinstance(next(trials), Measured)
    assert isinstance(trials, Generator)
    trials.close()
    assert isinstance(run(pool, tiled(4))[0], Measured)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a core to build on")
def test_nothing_else_runs_on_the_cores_that_measure() -> None:
    cores, notes = Cores.of_this_process(1), Notes()
    with EvaluatorPool(cores, make_evaluator=partial(WatchedEvaluator, notes)) as pool:
        pool.prepare(DENSE, TARGET)
        run(pool, *(tiled(width) for width in (1, 2, 4, 8, 16, 32)), SEGFAULTS, good_candidate())
    measurements = [step for step in notes.steps if step.kind == "Measure"]
    assert len(measurements) >= 7, "one each, and again where something else disturbed them"
    assert all(step.cores == cores.measuring for step in measurements)
    during = [step for step in notes.steps if step.while_measuring]
    assert any(step.builders for step in during), "builds overlap with measurements"
    for step in during:
        assert step.kind != "Measure" or not step.others_measuring
        for builder in step.builders:
            assert not builder & cores.measuring


def cores_of(pid: int) -> list[frozenset[int]]:
    """Nothing of a process that has just crashed."""
    try:
        return [frozenset(os.sched_getaffinity(pid))]
    except ProcessLookupError:
        return []


class Step(NamedTuple):
    """What one process begins, and where the kernel lets each busy process run from then on."""

    kind: str
    cores: frozenset[int]
    others_measuring: bool
    while_measuring: bool
    builders: list[frozenset[int]]


class Notes:
    """What all watched evaluators began, and what each is at now."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.busy: dict[int, str] = {}

    def begin(self, pid: int, kind: str) -> None:
        others_measuring = "Measure" in self.busy.values()
        self.busy[pid] = kind
        builders = [cores for pid, what in self.busy.items() if what == "Build" for cores in cores_of(pid)]
        cores = frozenset(os.sched_getaffinity(pid))
        self.steps.append(Step(kind, cores, others_measuring, "Measure" in self.busy.values(), builders))


class WatchedEvaluator(Evaluator):
    """The real one, taking notes."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._notes = notes

    def begin(self, command: Any, timeout_seconds: float) -> Call[Any]:
        if isinstance(command, Build | Measure) and self.pid is not None:
            self._notes.begin(self.pid, type(command).__name__)
        return super().begin(command, timeout_seconds)

    def take_answer(self, call: Call[Any]) -> Any:
        pid = self.pid
        try:
            return super().take_answer(call)
        finally:
            if pid is not None:
                self._notes.busy.pop(pid, None)
