"""What is measured again, and what is recorded then."""

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tilewright.contract.target import Target
from tilewright_tuning.child_process import Call
from tilewright_tuning.cores import Cores
from tilewright_tuning.evaluation import Evaluation, Measure
from tilewright_tuning.evaluator import Evaluator
from tilewright_tuning.measurement import DRIFT, NEAR, WIDE, Measurement, Pace, is_suspect
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.trials import PAUSE_SECONDS, TRIES, Measured, run_trials

from .examples import DENSE, TARGET, good_candidate, tiled

pytestmark = pytest.mark.alone

WITH_RESIDUAL = DENSE.model_copy(update={"residual": True})
STEADY = Measurement([100.0] * 7, 10.0)
SPIN = "import os, sys\nos.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(',')})\nwhile True: pass"


def test_measured_memory_straddles_cache_lines() -> None:
    received: list[Any] = []

    class Recorded:
        """A module whose function notes what it is called with."""

        def __getitem__(self, name: str) -> Any:
            return lambda *arguments: received.append(arguments)

        def time_evaluator(self, *_: Any, number: int, repeat: int) -> Any:
            return lambda *arguments: SimpleNamespace(results=[1e-6] * repeat)

    evaluation = Evaluation()
    evaluation.prepare(WITH_RESIDUAL, TARGET)
    evaluation.build(candidate := good_candidate(WITH_RESIDUAL))
    evaluation.kernel(candidate.id).module = Recorded()
    evaluation.measure(candidate.id, 3, math.inf)
    data, *_, residual, out = received[0]
    assert [array.ctypes.data % 64 for array in (data, residual, out)] == [16, 16, 16]


def test_threads_that_share_a_kernel_have_a_core_each() -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("this host has one core")
    target = Target(isa=TARGET.isa, threads=2)
    with EvaluatorPool(Cores.of_this_process(2)) as pool:
        pool.prepare(DENSE, target)
        pool.measure(good_candidate(DENSE, target), 3)
        (pid,) = [evaluator.pid for evaluator in pool.evaluators if evaluator.is_alive]
        allowed = [os.sched_getaffinity(int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir()]
    assert {frozenset({core}) for core in cores[:2]} <= set(map(frozenset, allowed))


def test_a_slowdown_is_measured_against_the_fastest_canary_so_far() -> None:
    pace, slowdowns = Pace(), list[float]()
    for canary_us in (10.0, 8.0, 12.0):
        measurement = replace(STEADY, canary_us=canary_us)
        pace.observe(measurement)
        slowdowns.append(pace.slowdown(measurement))
    assert slowdowns == [1.0, 1.0, 1.5]


def test_a_slow_canary_or_a_wide_spread_makes_a_measurement_suspect() -> None:
    wide = Measurement([100.0, 100, 100, 100, 100 * (1 + 3 * WIDE), 100 * (1 + 3 * WIDE), 200], 10.0)
    assert not is_suspect(STEADY, 1 + DRIFT, best_us=100)
    assert is_suspect(STEADY, 1 + 2 * DRIFT, best_us=100)
    assert is_suspect(wide, 1.0, best_us=100)
    assert not is_suspect(Measurement([100.0], 10.0), 1.0, best_us=100)


def test_a_measurement_that_cannot_become_the_best_is_not_suspect() -> None:
    """Unless it is slow because the core was: then it may well be the best."""
    best_us = 100 / NEAR * 0.99
    assert not is_suspect(STEADY, 1 + DRIFT / 2, best_us)
    assert is_suspect(STEADY, 2.0, best_us)


class Script:
    """What becomes of the canaries of measurements to come, and what was noted of the last ones."""

    def __init__(self) -> None:
        self.slow: list[float] = []
        """Factors, one for each measurement to come."""
        self.latencies_us: list[list[float]] = []
        self.begun: list[float] = []


class DoctoredEvaluator(Evaluator):
    """The real one; the canaries of its first measurements are slower than they were."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    def begin(self, command: Any, timeout_seconds: float) -> Call[Any]:
        if isinstance(command, Measure):
            self._script.begun.append(time.monotonic())
        return super().begin(command, timeout_seconds)

    def take_answer(self, call: Call[Any]) -> Any:
        value = super().take_answer(call)
        if not isinstance(value, Measurement):
            return value
        self._script.latencies_us.append(value.latencies_us)
        # The latencies are steady, so that only the canary decides; the first is that of an undisturbed core.
        return Measurement([value.latency_us] * 7, self._script.slow.pop(0) if self._script.slow else 1.0)


@pytest.fixture(scope="module")
def doctored() -> Iterator[tuple[EvaluatorPool, Script]]:
    script = Script()
    with EvaluatorPool(Cores.of_this_process(1), make_evaluator=partial(DoctoredEvaluator, script)) as pool:
        pool.prepare(DENSE, TARGET)
        run(pool, 4)
        yield pool, script


@pytest.fixture
def pool(doctored: tuple[EvaluatorPool, Script]) -> EvaluatorPool:
    return doctored[0]


@pytest.fixture
def script(doctored: tuple[EvaluatorPool, Script]) -> Script:
    """As if nothing had been measured yet."""
    script = doctored[1]
    script.slow, script.latencies_us, script.begun = [], [], []
    return script


def run(pool: EvaluatorPool, *widths: int, best_us: float = math.inf) -> list[Measured]:
    """Each by itself, so that none is far behind another."""
    trials = [trial for width in widths for trial in run_trials(pool, [tiled(width)], best_us)]
    return [trial for trial in trials if isinstance(trial, Measured)]


def test_a_trial_with_a_slow_canary_is_measured_again_after_a_pause(pool: EvaluatorPool, script: Script) -> None:
    script.slow = [1.5]
    [trial] = run(pool, 8)
    assert trial.slowdown == 1.0
    assert len(script.latencies_us) == 2
    assert min(script.latencies_us[1]) <= trial.latency_us <= max(script.latencies_us[1])
    assert script.begun[1] - script.begun[0] >= PAUSE_SECONDS


def test_on_a_core_that_stays_slow_the_best_of_a_few_tries_is_recorded_and_says_so(
    pool: EvaluatorPool, script: Script
) -> None:
    script.slow = [1.5] * 100
    assert [trial.slowdown for trial in run(pool, 8, 16)] == [1.5, 1.5]
    assert len(script.begun) == 2 * TRIES


def test_a_trial_far_behind_the_best_is_not_measured_again(pool: EvaluatorPool, script: Script) -> None:
    script.slow = [1.5]
    [trial] = run(pool, 8, best_us=0.001)
    assert trial.slowdown == 1.5
    assert len(script.begun) == 1


@contextmanager
def busy(cores: frozenset[int]) -> Iterator[None]:
    """A process that never rests on the cores that measure."""
    process = subprocess.Popen([sys.executable, "-c", SPIN, ",".join(map(str, cores))])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a core to build on")
def test_a_process_on_the_measuring_core_does_not_end_up_in_the_latencies() -> None:
    """It takes turns with the measurement, some milliseconds each: repeats differ, and are made again."""
    widths, began = (1, 2, 4, 8, 16, 32), list[Measure]()
    with EvaluatorPool(Cores.of_this_process(1), make_evaluator=partial(CountingEvaluator, began)) as pool:
        pool.prepare(DENSE, TARGET)
        quiet = {trial.candidate.id: trial.latency_us for trial in run(pool, *widths)}
        began.clear()
        with busy(pool.cores.measuring):
            disturbed = {trial.candidate.id: trial.latency_us for trial in run(pool, *widths)}
    assert quiet.keys() == disturbed.keys()
    assert len(widths) < len(began) <= TRIES * len(widths)
    slower = [latency_us / quiet[candidate] for candidate, latency_us in disturbed.items()]
    assert statistics.median(slower) < 1.5, "half of the core would be twice as long"


class CountingEvaluator(Evaluator):
    def __init__(self, began: list[Measure]) -> None:
        super().__init__()
        self._began = began

    def begin(self, command: Any, timeout_seconds: float) -> Call[Any]:
        if isinstance(command, Measure):
            self._began.append(command)
        return super().begin(command, timeout_seconds)
