"""Turning candidates into trials: build and measure them, two at a time where a core is free."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.connection import wait

from tilewright.contract.candidates import Candidate
from tilewright.contract.records import FailureKind
from tilewright.contract.schedules import Proof
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_tuning.cores import Cores
from tilewright_tuning.evaluation import Build, Measure, Peak, Prepare, Prove, Verify
from tilewright_tuning.evaluator import EvaluationFailed, Evaluator, fork_server
from tilewright_tuning.measurement import DRIFT, Measurement, Pace, is_suspect
from tilewright_tuning.verification import Verdict

EVALUATORS = 2
BUILD_SECONDS = 10.0
MEASURE_SECONDS = 10.0
VERIFY_SECONDS = 300.0
PREPARE_SECONDS = 60.0
REPEATS = 7
CUTOFF = 1.5
"""A first sample this many times above the best ends a measurement: more repeats would not change the verdict."""

TRIES = 3
"""How often a candidate is measured at most while its measurements are suspect."""

PAUSE_SECONDS = 0.02
"""What a slow core is given to recover."""


@dataclass(frozen=True)
class Trial:
    """A candidate that was built and measured, or failed with a reason."""

    candidate: Candidate
    latencies_us: list[float]
    seconds: float
    failure: FailureKind | None = None
    reason: str | None = None
    slowdown: float | None = None
    """Of the measuring core while it was measured; None for a failure."""

    @property
    def latency_us(self) -> float:
        """Median over the repeats."""
        return statistics.median(self.latencies_us)


class Step(Enum):
    IDLE = "idle"
    BUILDING = "building"
    BUILT = "built"
    MEASURING = "measuring"


@dataclass
class Place:
    """One evaluator and what it is at."""

    evaluator: Evaluator
    step: Step = Step.IDLE
    candidate: Candidate | None = None
    started: float = 0.0
    measurements: list[tuple[Measurement, float]] = field(default_factory=list)
    """Those of the candidate so far, with the slowdown of the core."""
    resumes: float = 0.0
    """When it may be measured again."""
    built: set[str] = field(default_factory=set)


class Bench:
    """The evaluators of an attempt, and the rule that nothing disturbs a measurement on its cores."""

    def __init__(
        self, cores: Cores, build_seconds: float = BUILD_SECONDS, measure_seconds: float = MEASURE_SECONDS
    ) -> None:
        self.cores = cores
        self._build_seconds = build_seconds
        self._measure_seconds = measure_seconds
        self._prepare: Prepare | None = None
        self._pace = Pace()
        context = fork_server()
        count = EVALUATORS if len(cores.all) > 1 else 1
        self._places = [Place(Evaluator(context)) for _ in range(count)]

    def close(self) -> None:
        for place in self._places:
            place.evaluator.stop()

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, workload: Workload, target: Target) -> None:
        """Make all evaluators ready for a workload; they forget what they built before."""
        self._prepare = Prepare(workload, target)
        running = [place for place in self._places if place.evaluator.is_alive]
        for place in running:
            place.built.clear()
            place.evaluator.begin(self._prepare, PREPARE_SECONDS)
        for place in running:
            place.evaluator.finish(FailureKind.RUN_ERROR)

    def run(
        self,
        propose: Callable[[], Candidate | None],
        report: Callable[[Trial], None],
        best_us: Callable[[], float],
        cancelled: Callable[[], bool],
    ) -> None:
        """Try what `propose` gives until it gives None; then let what is under way come to its end.

        When `cancelled`, what is under way is dropped: it has no result yet, so nothing is lost.
        """
        exhausted = False
        while not cancelled():
            while not exhausted and (place := self._next_idle()) is not None:
                candidate = propose()
                exhausted = candidate is None
                if candidate is not None:
                    self._begin_build(place, candidate, report)
            self._begin_measuring(best_us())
            busy = [place for place in self._places if place.step is not Step.IDLE]
            if not busy:
                return
            self._await(busy, best_us(), report)
        self.close()

    def peak_gmacs(self, isa: Isa) -> float:
        """Measured peak of one measuring core."""
        self._ensure_running(self._places[0])
        self._places[0].evaluator.run_on(self.cores.measuring)
        peak: float = self._places[0].evaluator.call(Peak(isa), self._measure_seconds)
        return peak

    def build_alone(self, candidate: Candidate) -> None:
        """Have it built, somewhere, for `measure_alone` and `verify`. Raises EvaluationFailed."""
        if self._owner(candidate) is None:
            self._build_on(self._places[0], candidate)

    def measure_alone(self, candidate: Candidate, repeats: int) -> list[float]:
        """Latency in us with everything else at rest. Raises EvaluationFailed."""
        evaluator = self._holding(candidate)
        evaluator.run_on(self.cores.measuring)
        measurement: Measurement = evaluator.call(Measure(candidate.id, repeats), self._measure_seconds)
        self._slowdown(measurement)
        return measurement.latencies_us

    def verify(self, candidate: Candidate) -> Verdict:
        """Put the built kernel through the bit-exactness gate. Raises EvaluationFailed."""
        evaluator = self._holding(candidate)
        evaluator.run_on(self.cores.all)
        verdict: Verdict = evaluator.call(Verify(candidate.id), VERIFY_SECONDS)
        return verdict

    def prove(self, candidate: Candidate) -> Proof:
        """Count the dot products in its machine code. Raises EvaluationFailed."""
        proof: Proof = self._holding(candidate).call(Prove(candidate.id), self._build_seconds)
        return proof

    def _holding(self, candidate: Candidate) -> Evaluator:
        """The evaluator that has this candidate built."""
        self.build_alone(candidate)
        owner = self._owner(candidate)
        assert owner is not None
        return owner.evaluator

    def _owner(self, candidate: Candidate) -> Place | None:
        return next((p for p in self._places if candidate.id in p.built and p.evaluator.is_alive), None)

    def _build_on(self, place: Place, candidate: Candidate) -> None:
        self._ensure_running(place)
        place.evaluator.run_on(self.cores.all)
        place.evaluator.call(Build(candidate), self._build_seconds, FailureKind.BUILD_ERROR)
        place.built.add(candidate.id)

    def _ensure_running(self, place: Place) -> None:
        if not place.evaluator.is_alive:
            place.built.clear()
            place.evaluator.start()
            if self._prepare is not None:
                place.evaluator.call(self._prepare, PREPARE_SECONDS)

    def _measuring(self) -> Place | None:
        return next((place for place in self._places if place.step is Step.MEASURING), None)

    def _next_idle(self) -> Place | None:
        """A place that may start a build now: while others measure, only if a core is left to build on."""
        if self._measuring() is not None and not self.cores.spare:
            return None
        return next((place for place in self._places if place.step is Step.IDLE), None)

    def _begin_build(self, place: Place, candidate: Candidate, report: Callable[[Trial], None]) -> None:
        place.candidate, place.started = candidate, time.monotonic()
        place.measurements, place.resumes = [], 0.0
        try:
            self._ensure_running(place)
        except EvaluationFailed as failure:
            self._fail(place, failure, report)
            return
        place.step = Step.BUILDING
        place.evaluator.run_on(self.cores.all if self._measuring() is None else self.cores.spare)
        place.evaluator.begin(Build(candidate), self._build_seconds)

    def _begin_measuring(self, best_us: float) -> None:
        """Start one measurement if the measuring cores can be left to it."""
        now = time.monotonic()
        ready = next((place for place in self._places if place.step is Step.BUILT and place.resumes <= now), None)
        if ready is None or self._measuring() is not None:
            return
        building = [place for place in self._places if place.step is Step.BUILDING]
        if building and not self.cores.spare:
            return
        for place in building:
            place.evaluator.run_on(self.cores.spare)
        assert ready.candidate is not None
        ready.step = Step.MEASURING
        ready.evaluator.run_on(self.cores.measuring)
        ready.evaluator.begin(Measure(ready.candidate.id, REPEATS, CUTOFF * best_us), self._measure_seconds)

    def _await(self, busy: list[Place], best_us: float, report: Callable[[Trial], None]) -> None:
        """Wait until something happens, at most 0.2 s so that a cancellation is seen."""
        working = [place for place in busy if place.step in (Step.BUILDING, Step.MEASURING)]
        deadlines = [place.evaluator.seconds_left for place in working]
        pauses = [place.resumes - time.monotonic() for place in busy if place.step is Step.BUILT]
        patience = min([*deadlines, *(pause for pause in pauses if pause > 0), 0.2])
        ready = wait([place.evaluator.connection for place in working], patience)
        for place in working:
            if place.evaluator.connection in ready or place.evaluator.seconds_left == 0:
                self._take(place, best_us, report)

    def _take(self, place: Place, best_us: float, report: Callable[[Trial], None]) -> None:
        assert place.candidate is not None
        was_building = place.step is Step.BUILDING
        try:
            value = place.evaluator.finish(FailureKind.BUILD_ERROR if was_building else FailureKind.RUN_ERROR)
        except EvaluationFailed as failure:
            if place.measurements:
                place.step = Step.IDLE
                self._report_least_disturbed(place, report)
            else:
                self._fail(place, failure, report)
            return
        if was_building:
            place.built.add(place.candidate.id)
            place.step = Step.BUILT
            return
        place.step = Step.IDLE
        for other in self._places:
            if other.step is Step.BUILDING:
                other.evaluator.run_on(self.cores.all)
        self._judge(place, value, best_us, report)

    def _judge(self, place: Place, measurement: Measurement, best_us: float, report: Callable[[Trial], None]) -> None:
        """Report it, or have it measured again. When none was good in the end, the least disturbed is reported."""
        assert place.candidate is not None
        slowdown = self._slowdown(measurement)
        place.measurements.append((measurement, slowdown))
        if not is_suspect(measurement, slowdown, best_us):
            place.measurements = place.measurements[-1:]
        elif len(place.measurements) < TRIES:
            pause = PAUSE_SECONDS if slowdown > 1 + DRIFT else 0.0
            place.step, place.resumes = Step.BUILT, time.monotonic() + pause
            return
        self._report_least_disturbed(place, report)

    def _report_least_disturbed(self, place: Place, report: Callable[[Trial], None]) -> None:
        assert place.candidate is not None
        measurement, slowdown = min(place.measurements, key=lambda pair: pair[0].latency_us)
        seconds = time.monotonic() - place.started
        report(Trial(place.candidate, measurement.latencies_us, seconds, slowdown=slowdown))

    def _slowdown(self, measurement: Measurement) -> float:
        assert self._prepare is not None
        return self._pace.slowdown(self._prepare.target.isa, measurement)

    def _fail(self, place: Place, failure: EvaluationFailed, report: Callable[[Trial], None]) -> None:
        assert place.candidate is not None
        place.step = Step.IDLE
        report(Trial(place.candidate, [], time.monotonic() - place.started, failure.kind, failure.reason))
