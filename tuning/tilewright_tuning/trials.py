"""Turning candidates into trials: build and measure them, two at a time where a core is free."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import wait

from tilewright.contract.candidates import Candidate
from tilewright.contract.records import FailureKind
from tilewright_tuning.child_process import Call, CallFailed, NoAnswer, ProcessEnded
from tilewright_tuning.evaluation import Build, Measure
from tilewright_tuning.evaluator import Evaluator
from tilewright_tuning.measurement import DRIFT, Measurement, is_suspect
from tilewright_tuning.pool import MEASURE_SECONDS, EvaluatorPool

REPEATS = 7
BASELINE_REPEATS = 1
"""What ours is compared with is slower by an order of magnitude: it takes long, and need not be known to a percent."""

CUTOFF = 1.5
"""A first sample this many times above the best ends a measurement: more repeats would not change the verdict."""

TRIES = 3
"""How often a candidate is measured at most while its measurements are suspect."""

PAUSE_SECONDS = 0.02
"""What a slow core is given to recover."""

CANCEL_SECONDS = 0.2
"""After so long at most a cancellation is seen."""


@dataclass(frozen=True)
class Measured:
    """A candidate that was built and measured."""

    candidate: Candidate
    latencies_us: list[float]
    seconds: float
    slowdown: float
    """Of the measuring core while it was measured."""

    @property
    def latency_us(self) -> float:
        """Median over the repeats."""
        return statistics.median(self.latencies_us)


@dataclass(frozen=True)
class Failed:
    """A candidate that could not be built or measured."""

    candidate: Candidate
    seconds: float
    kind: FailureKind
    reason: str


Trial = Measured | Failed


def never() -> bool:
    return False


def run_trials(
    pool: EvaluatorPool,
    candidates: Iterable[Candidate],
    known_best_us: float = math.inf,
    is_cancelled: Callable[[], bool] = never,
    baseline: Candidate | None = None,
) -> Iterator[Trial]:
    """Trials as they come to their end. Candidates are taken as evaluators become free, the `baseline` before them.

    When `is_cancelled`, or when nobody takes the trials any more, what is under way is dropped: it has no result yet,
    so nothing is lost.
    """
    pipeline = Pipeline(pool, known_best_us, baseline)
    try:
        yield from pipeline.run(candidates, is_cancelled)
    finally:
        pipeline.drop()


@dataclass(frozen=True)
class PendingTrial:
    """A candidate on its way to a trial."""

    candidate: Candidate
    started: float
    suspects: list[Measurement] = field(default_factory=list)
    """Measurements so far that something may have disturbed."""

    def finish(self, measurement: Measurement, slowdown: float) -> Measured:
        return Measured(self.candidate, measurement.latencies_us, time.monotonic() - self.started, slowdown)

    def fail(self, failure: CallFailed, kind: FailureKind) -> Failed:
        """`kind` is that of an error of the candidate itself."""
        return Failed(self.candidate, time.monotonic() - self.started, failure_kind(failure, kind), str(failure))


@dataclass(frozen=True)
class Building:
    pending: PendingTrial
    call: Call[None]


@dataclass(frozen=True)
class Built:
    pending: PendingTrial
    resumes: float
    """When it may be measured, or measured again."""


@dataclass(frozen=True)
class Measuring:
    pending: PendingTrial
    call: Call[Measurement]


class Pipeline:
    """What each busy evaluator is at, and the rule that nothing disturbs a measurement on its cores."""

    def __init__(self, pool: EvaluatorPool, best_us: float, baseline: Candidate | None) -> None:
        self._pool = pool
        self._best_us = best_us
        self._baseline = baseline
        self._stages: dict[Evaluator, Building | Built | Measuring] = {}

    def run(self, candidates: Iterable[Candidate], is_cancelled: Callable[[], bool]) -> Iterator[Trial]:
        waiting = chain([] if self._baseline is None else [self._baseline], candidates)
        while not is_cancelled():
            yield from self._begin_builds(waiting)
            self._begin_measurement()
            if not self._stages:
                return
            for trial in self._finish_calls():
                if isinstance(trial, Measured):
                    self._best_us = min(self._best_us, trial.latency_us)
                yield trial

    def drop(self) -> None:
        """Stop the evaluators that are at something."""
        for evaluator, stage in self._stages.items():
            if not isinstance(stage, Built):
                evaluator.stop()
        self._stages.clear()

    def _begin_builds(self, candidates: Iterator[Candidate]) -> Iterator[Failed]:
        """Have all that may build do so; a candidate whose evaluator does not start has failed."""
        while (evaluator := self._next_idle()) is not None and (candidate := next(candidates, None)) is not None:
            pending = PendingTrial(candidate, time.monotonic())
            try:
                self._pool.ensure_ready(evaluator)
            except CallFailed as failure:
                yield pending.fail(failure, FailureKind.RUN_ERROR)
                continue
            evaluator.run_on(self._pool.cores.spare if self._is_measuring else self._pool.cores.all)
            self._stages[evaluator] = Building(pending, evaluator.begin(Build(candidate), self._pool.build_seconds))

    @property
    def _is_measuring(self) -> bool:
        return any(isinstance(stage, Measuring) for stage in self._stages.values())

    @property
    def _builders(self) -> list[Evaluator]:
        return [evaluator for evaluator, stage in self._stages.items() if isinstance(stage, Building)]

    def _next_idle(self) -> Evaluator | None:
        """One that may start a build now: while another measures, only if a core is left to build on."""
        if self._is_measuring and not self._pool.cores.spare:
            return None
        return next((evaluator for evaluator in self._pool.evaluators if evaluator not in self._stages), None)

    def _begin_measurement(self) -> None:
        """Start one if the measuring cores can be left to it."""
        cores, builders, now = self._pool.cores, self._builders, time.monotonic()
        if self._is_measuring or (builders and not cores.spare):
            return
        for evaluator, stage in self._stages.items():
            if isinstance(stage, Built) and stage.resumes <= now:
                for builder in builders:
                    builder.run_on(cores.spare)
                evaluator.run_on(cores.measuring)
                candidate = stage.pending.candidate
                repeats = BASELINE_REPEATS if candidate == self._baseline else REPEATS
                command = Measure(candidate.id, repeats, CUTOFF * self._best_us)
                self._stages[evaluator] = Measuring(stage.pending, evaluator.begin(command, MEASURE_SECONDS))
                return

    def _finish_calls(self) -> Iterator[Trial]:
        """Wait until something happens, but not for long, and take it."""
        stages = dict(self._stages)
        calls = [stage.call for stage in stages.values() if not isinstance(stage, Built)]
        pauses = [stage.resumes - time.monotonic() for stage in stages.values() if isinstance(stage, Built)]
        waits = [CANCEL_SECONDS, *(call.seconds_left for call in calls), *(pause for pause in pauses if pause > 0)]
        ready = wait([call.connection for call in calls], min(waits))
        for evaluator, stage in stages.items():
            if isinstance(stage, Built) or not (stage.call.connection in ready or stage.call.seconds_left == 0):
                continue
            del self._stages[evaluator]
            if isinstance(stage, Building):
                yield from self._finish_build(evaluator, stage)
            else:
                yield from self._finish_measurement(evaluator, stage)

    def _finish_build(self, evaluator: Evaluator, stage: Building) -> Iterator[Failed]:
        try:
            stage.call.finish()
        except CallFailed as failure:
            yield stage.pending.fail(failure, FailureKind.BUILD_ERROR)
            return
        evaluator.built.add(stage.pending.candidate.id)
        self._stages[evaluator] = Built(stage.pending, resumes=0.0)

    def _finish_measurement(self, evaluator: Evaluator, stage: Measuring) -> Iterator[Trial]:
        """A trial, or nothing yet: what is suspect is measured again."""
        pending = stage.pending
        try:
            measurement = stage.call.finish()
        except CallFailed as failure:
            yield self._least_disturbed(pending) or pending.fail(failure, FailureKind.RUN_ERROR)
            return
        for builder in self._builders:
            builder.run_on(self._pool.cores.all)
        self._pool.pace.observe(measurement)
        slowdown = self._pool.pace.slowdown(measurement)
        if not is_suspect(measurement, slowdown, self._best_us):
            yield pending.finish(measurement, slowdown)
            return
        pending.suspects.append(measurement)
        if len(pending.suspects) < TRIES:
            pause = PAUSE_SECONDS if slowdown > 1 + DRIFT else 0.0
            self._stages[evaluator] = Built(pending, time.monotonic() + pause)
        elif trial := self._least_disturbed(pending):
            yield trial

    def _least_disturbed(self, pending: PendingTrial) -> Measured | None:
        """With the best of the suspect measurements, if there is any."""
        if not pending.suspects:
            return None
        best = min(pending.suspects, key=lambda measurement: measurement.latency_us)
        return pending.finish(best, self._pool.pace.slowdown(best))


def failure_kind(failure: CallFailed, command_failed: FailureKind) -> FailureKind:
    match failure:
        case NoAnswer():
            return FailureKind.TIMEOUT
        case ProcessEnded():
            return FailureKind.CRASH
        case _:
            return command_failed
