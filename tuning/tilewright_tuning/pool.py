"""The evaluators, the cores that they run on, and who of them has built what."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tilewright.contract.candidates import Candidate
from tilewright.contract.schedules import InstructionCount, Verification
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_tuning.child_process import CommandFailed, NoAnswer, ProcessEnded
from tilewright_tuning.cores import Cores
from tilewright_tuning.evaluation import (
    Build,
    CountInstructions,
    MeasurePeak,
    Prepare,
    TakeLatencies,
    Verify,
    WriteScript,
)
from tilewright_tuning.evaluator import Evaluator
from tilewright_tuning.measurement import Pace
from tilewright_tuning.pulse import Pulse
from tilewright_tuning.verification import Mismatch

EVALUATORS = 2
BUILD_SECONDS = 10.0
MEASURE_SECONDS = 10.0
VERIFY_SECONDS = 300.0
PREPARE_SECONDS = 60.0


class EvaluatorPool:
    """Processes that build and measure for one workload at a time.

    They start when they are first needed, and again when they have ended. `build`, `measure`, `verify` and
    `count_instructions` take one candidate with everything else at rest; `run_trials` has two of them under way.
    Once the `pulse` is stopped, everything raises Stopped.
    """

    def __init__(
        self,
        cores: Cores,
        build_seconds: float = BUILD_SECONDS,
        make_evaluator: Callable[[], Evaluator] = Evaluator,
        pulse: Pulse | None = None,
    ) -> None:
        self.cores = cores
        self.build_seconds = build_seconds
        self.pulse = pulse or Pulse()
        self.avoided: set[str] = set()
        """Ids of candidates of the workload that ended a process of ours: they are known, but none touches them again.

        Whoever prepares the next workload says which these are."""
        self.evaluators = [make_evaluator() for _ in range(EVALUATORS if len(cores.all) > 1 else 1)]
        for evaluator in self.evaluators:
            evaluator.pulse = self.pulse
        self._prepare: Prepare | None = None
        self._paces: defaultdict[Isa, Pace] = defaultdict(Pace)

    def __enter__(self) -> "EvaluatorPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the processes and what they are at. What is asked next starts new ones."""
        for evaluator in self.evaluators:
            evaluator.stop()

    def prepare(self, workload: Workload, target: Target) -> None:
        """Make ready for a workload; what was built for another is forgotten. Raises CallFailed."""
        self._prepare = Prepare(workload, target)
        for evaluator in self.evaluators:
            evaluator.built.clear()
        calls = [each.begin(self._prepare, PREPARE_SECONDS) for each in self.evaluators if each.is_alive]
        for call in calls:
            call.finish()
        self.ensure_ready(self.evaluators[0])  # what cannot be prepared fails here, and not with every trial

    def ensure_ready(self, evaluator: Evaluator) -> None:
        """Have it running, and prepared for the workload. Raises CallFailed."""
        if not evaluator.is_alive:
            evaluator.start()
            if self._prepare is not None:
                evaluator.call(self._prepare, PREPARE_SECONDS)

    @property
    def pace(self) -> Pace:
        """Of the measuring cores, on the path of the target at hand."""
        assert self._prepare is not None
        return self._paces[self._prepare.target.isa]

    def measure_peak(self, isa: Isa) -> float:
        """GMAC/s of one measuring core."""
        evaluator = self.evaluators[0]
        self.ensure_ready(evaluator)
        evaluator.run_on(self.cores.measuring)
        return evaluator.call(MeasurePeak(isa), MEASURE_SECONDS)

    def build(self, candidate: Candidate) -> None:
        """Have it built, somewhere. Raises CallFailed."""
        self._evaluator_with(candidate)

    def measure(self, candidate: Candidate, repeats: int) -> list[float]:
        """Latencies in us. Raises CallFailed."""
        evaluator = self._evaluator_with(candidate)
        evaluator.run_on(self.cores.measuring)
        with self._avoiding(candidate):
            return evaluator.call(TakeLatencies(candidate.id, repeats), MEASURE_SECONDS)

    def verify(self, candidate: Candidate) -> Verification | Mismatch:
        """Put it through the bit-exactness gate. Raises CallFailed."""
        evaluator = self._evaluator_with(candidate)
        evaluator.run_on(self.cores.all)
        with self._avoiding(candidate):
            return evaluator.call(Verify(candidate.id), VERIFY_SECONDS)

    def count_instructions(self, candidate: Candidate) -> InstructionCount:
        """Count the dot products in its machine code. Raises CallFailed."""
        return self._evaluator_with(candidate).call(CountInstructions(candidate.id), self.build_seconds)

    def write_script(self, candidate: Candidate) -> str:
        """As TVMScript. Raises CallFailed."""
        return self._evaluator_with(candidate).call(WriteScript(candidate.id), self.build_seconds)

    def _evaluator_with(self, candidate: Candidate) -> Evaluator:
        """The one that has it built, or the first, which builds it now."""
        for evaluator in self.evaluators:
            if evaluator.has_built(candidate):
                return evaluator
        if candidate.id in self.avoided:
            raise CommandFailed("it has ended an evaluator before")
        evaluator = self.evaluators[0]
        self.ensure_ready(evaluator)
        evaluator.run_on(self.cores.all)
        with self._avoiding(candidate):
            evaluator.call(Build(candidate), self.build_seconds)
        evaluator.built.add(candidate.id)
        return evaluator

    @contextmanager
    def _avoiding(self, candidate: Candidate) -> Iterator[None]:
        """From now on, if it ends its process."""
        try:
            yield
        except (ProcessEnded, NoAnswer):
            self.avoided.add(candidate.id)
            raise
