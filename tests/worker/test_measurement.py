"""What is measured again, and what is recorded then."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tilewright.contract import FailureKind, Isa, Target
from tilewright_tuning import trials
from tilewright_tuning.cores import Cores
from tilewright_tuning.evaluation import Build, Evaluation, Measure, Prepare
from tilewright_tuning.evaluator import Evaluator
from tilewright_tuning.measurement import DRIFT, NEAR, WIDE, Measurement, Pace, is_suspect
from tilewright_tuning.trials import PAUSE_SECONDS, TRIES, Bench, Trial

from .examples import DENSE, TARGET, good_candidate, tiled

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
    evaluation.prepare(Prepare(WITH_RESIDUAL, TARGET))
    evaluation.build(Build(candidate := good_candidate(WITH_RESIDUAL)))
    evaluation._kernels[candidate.id].module = Recorded()
    evaluation.measure(Measure(candidate.id, 3))
    data, *_, residual, out = received[0]
    assert [array.ctypes.data % 64 for array in (data, residual, out)] == [16, 16, 16]


def test_threads_that_share_a_kernel_have_a_core_each() -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("this host has one core")
    target = Target(isa=TARGET.isa, threads=2)
    with Bench(Cores.of_this_process(2)) as bench:
        bench.prepare(DENSE, target)
        bench.measure_alone(good_candidate(DENSE, target), 3)
        (pid,) = [place.evaluator._process.pid for place in bench._places if place.evaluator.is_alive]
        allowed = [os.sched_getaffinity(int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir()]
    assert {frozenset({core}) for core in cores[:2]} <= set(map(frozenset, allowed))


def test_the_pace_is_against_the_best_of_its_path_so_far() -> None:
    pace = Pace()
    readings = [pace.slowdown(Isa.AVX2, replace(STEADY, canary_us=canary)) for canary in (10.0, 8.0, 12.0)]
    assert readings == [1.0, 1.0, 1.5]
    assert pace.slowdown(Isa.X86_64, replace(STEADY, canary_us=40.0)) == 1.0


def test_a_slow_canary_or_a_wide_spread_makes_a_measurement_suspect() -> None:
    wide = Measurement([100.0, 100, 100, 100, 100 * (1 + 3 * WIDE), 100 * (1 + 3 * WIDE), 200], 10.0)
    assert not is_suspect(STEADY, 1 + DRIFT, best_us=100)
    assert is_suspect(STEADY, 1 + 2 * DRIFT, best_us=100)
    assert is_suspect(wide, 1.0, best_us=100)
    assert not is_suspect(Measurement([100.0], 10.0), 1.0, best_us=100)


def test_what_cannot_become_the_best_is_not_suspect() -> None:
    """Unless it is slow because the core was: then it may well be the best."""
    best_us = 100 / NEAR * 0.99
    assert not is_suspect(STEADY, 1 + DRIFT / 2, best_us)
    assert is_suspect(STEADY, 2.0, best_us)


class DoctoredEvaluator(Evaluator):
    """The real one; the canaries of its first measurements are slower than they were."""

    slow: list[float] = []
    """Factors, one for each measurement to come."""
    latencies: list[list[float]] = []
    begun: list[float] = []

    def begin(self, command: Any, timeout_seconds: float) -> None:
        if isinstance(command, Measure):
            self.begun.append(time.monotonic())
        super().begin(command, timeout_seconds)

    def finish(self, kind: FailureKind) -> Any:
        value = super().finish(kind)
        if not isinstance(value, Measurement):
            return value
        self.latencies.append(value.latencies_us)
        # The latencies are steady, so that only the canary decides; the first is that of an undisturbed core.
        return Measurement([value.latency_us] * 7, 1.0 * (self.slow.pop(0) if self.slow else 1.0))


@pytest.fixture
def doctored(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(trials, "Evaluator", DoctoredEvaluator)
    monkeypatch.setattr(DoctoredEvaluator, "slow", [])
    monkeypatch.setattr(DoctoredEvaluator, "latencies", [])
    monkeypatch.setattr(DoctoredEvaluator, "begun", [])
    with Bench(Cores.of_this_process(1)) as bench:
        bench.prepare(DENSE, TARGET)
        yield bench


def run(bench: Bench, *widths: int, best_us: float = 1e9) -> list[Trial]:
    waiting, done = [tiled(width) for width in widths], list[Trial]()
    bench.run(lambda: waiting.pop(0) if waiting else None, done.append, lambda: best_us, lambda: False)
    return done


def test_a_trial_with_a_slow_canary_is_measured_again_after_a_pause(doctored: Bench) -> None:
    run(doctored, 4)
    DoctoredEvaluator.slow[:] = [1.5]
    [trial] = run(doctored, 8)
    assert trial.slowdown == 1.0
    assert len(DoctoredEvaluator.latencies) == 3
    assert min(DoctoredEvaluator.latencies[2]) <= trial.latency_us <= max(DoctoredEvaluator.latencies[2])
    assert DoctoredEvaluator.begun[2] - DoctoredEvaluator.begun[1] >= PAUSE_SECONDS


def test_on_a_core_that_stays_slow_the_best_of_a_few_tries_is_recorded_and_says_so(doctored: Bench) -> None:
    run(doctored, 4)
    DoctoredEvaluator.slow[:] = [1.5] * 100
    reported = run(doctored, 8, 16)
    assert [trial.slowdown for trial in reported] == [1.5, 1.5]
    assert len(DoctoredEvaluator.begun) == 1 + 2 * TRIES


def test_a_trial_far_behind_the_best_is_not_measured_again(doctored: Bench) -> None:
    run(doctored, 4)
    DoctoredEvaluator.slow[:] = [1.5]
    [trial] = run(doctored, 8, best_us=0.001)
    assert trial.slowdown == 1.5
    assert len(DoctoredEvaluator.begun) == 2


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
def test_a_process_on_the_measuring_core_does_not_end_up_in_the_latencies(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes turns with the measurement, some milliseconds each: repeats differ, and are made again."""
    monkeypatch.setattr(trials, "Evaluator", CountingEvaluator)
    monkeypatch.setattr(CountingEvaluator, "measurements", 0)
    widths = (1, 2, 4, 8, 16, 32)
    with Bench(Cores.of_this_process(1)) as bench:
        bench.prepare(DENSE, TARGET)
        quiet = {trial.candidate.id: trial.latency_us for trial in run(bench, *widths)}
        at_rest = CountingEvaluator.measurements
        with busy(bench.cores.measuring):
            disturbed = {trial.candidate.id: trial.latency_us for trial in run(bench, *widths)}
    assert quiet.keys() == disturbed.keys()
    assert len(widths) < CountingEvaluator.measurements - at_rest <= TRIES * len(widths)
    slower = [latency_us / quiet[candidate] for candidate, latency_us in disturbed.items()]
    assert statistics.median(slower) < 1.5, "half of the core would be twice as long"


class CountingEvaluator(Evaluator):
    measurements = 0

    def begin(self, command: Any, timeout_seconds: float) -> None:
        if isinstance(command, Measure):
            CountingEvaluator.measurements += 1
        super().begin(command, timeout_seconds)
