"""Deciding among the best: measured again with everything else at rest, then verified."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tilewright.contract.candidates import Candidate
from tilewright.contract.schedules import InstructionCount, Verification
from tilewright_tuning.child_process import CallFailed
from tilewright_tuning.verification import Mismatch

FINALISTS = 6
ROUNDS = 6
FINAL_REPEATS = 3
AGREEMENT = 0.02
"""The fastest rounds of each finalist have to lie within this share, or there are more rounds."""

FINAL_SECONDS = 1.0
"""After this no further round begins, agreement or not; the first ROUNDS are always run."""

REAL_IMPROVEMENT = 0.01
"""A challenger has to beat the incumbent by this share in the interleaved comparison."""


class Examiner(Protocol):
    """Takes one candidate with everything else at rest, as EvaluatorPool does. Every call may raise CallFailed."""

    def build(self, candidate: Candidate, /) -> None: ...

    def measure(self, candidate: Candidate, repeats: int, /) -> list[float]:
        """Latencies in us."""

    def verify(self, candidate: Candidate, /) -> Verification | Mismatch: ...

    def count_instructions(self, candidate: Candidate, /) -> InstructionCount: ...


@dataclass(frozen=True)
class Winner:
    """The fastest candidate that passed the bit-exactness gate."""

    candidate: Candidate
    latencies_us: list[float]
    verification: Verification
    instruction_count: InstructionCount | None
    """None where the machine code could not be read."""

    @property
    def latency_us(self) -> float:
        return statistics.median(self.latencies_us)


@dataclass(frozen=True)
class Rejection:
    """A candidate that is not served, however fast."""

    candidate: Candidate
    reason: str


@dataclass(frozen=True)
class Decision:
    """`winner` is None when no candidate passed."""

    winner: Winner | None
    rejections: list[Rejection] = field(default_factory=list)


def decide(
    examiner: Examiner, ranking: Sequence[Candidate], incumbent: Candidate | None, seconds: float = FINAL_SECONDS
) -> Decision:
    """Remeasure the best few, interleaved with the incumbent; the fastest that is bit-exact wins.

    `ranking` has the fastest first.
    """
    finalists, rejections = select_finalists(examiner, ranking)
    if incumbent is not None and incumbent.id not in {candidate.id for candidate in finalists}:
        finalists.append(incumbent)
    latencies = remeasure(examiner, finalists, seconds)
    by_id = {candidate.id: candidate for candidate in finalists}
    for candidate_id in sorted(latencies, key=lambda each: _handicapped_us(each, latencies[each], incumbent)):
        candidate = by_id[candidate_id]
        try:
            outcome = examiner.verify(candidate)
        except CallFailed as failure:
            outcome = Mismatch(str(failure))
        if isinstance(outcome, Verification):
            count = try_to_count(examiner, candidate)
            return Decision(Winner(candidate, latencies[candidate_id], outcome, count), rejections)
        rejections.append(Rejection(candidate, outcome.reason))
    return Decision(None, rejections)


def select_finalists(examiner: Examiner, ranking: Sequence[Candidate]) -> tuple[list[Candidate], list[Rejection]]:
    """The first FINALISTS that can be built. Records of another version may hold traces that fit no more."""
    found: list[Candidate] = []
    rejections: list[Rejection] = []
    for candidate in ranking:
        if len(found) == FINALISTS:
            break
        try:
            examiner.build(candidate)
            found.append(candidate)
        except CallFailed as failure:
            rejections.append(Rejection(candidate, str(failure)))
    return found, rejections


def try_to_count(examiner: Examiner, candidate: Candidate) -> InstructionCount | None:
    """What is exact is served, whether or not its instructions can be counted."""
    try:
        return examiner.count_instructions(candidate)
    except CallFailed:
        return None


def remeasure(
    examiner: Examiner, candidates: Sequence[Candidate], seconds: float = FINAL_SECONDS
) -> dict[str, list[float]]:
    """Latencies in us by candidate id, interleaved so that drift meets all of them alike. What fails is left out.

    What disturbs a measurement makes it longer, never shorter. So of each candidate the fastest ROUNDS rounds are
    kept, and there are further rounds until these agree or the time is over.
    """
    rounds: dict[str, list[list[float]]] = {candidate.id: [] for candidate in candidates}
    started, count = time.monotonic(), 0
    while count < ROUNDS or (not _agree(rounds) and time.monotonic() - started < seconds):
        count += 1
        for candidate in candidates:
            if candidate.id in rounds:
                try:
                    rounds[candidate.id].append(examiner.measure(candidate, FINAL_REPEATS))
                except CallFailed:
                    del rounds[candidate.id]
    return {each: [latency for kept in _fastest(own) for latency in kept] for each, own in rounds.items()}


def _fastest(rounds: list[list[float]]) -> list[list[float]]:
    """The ROUNDS rounds of the lowest medians."""
    return sorted(rounds, key=statistics.median)[:ROUNDS]


def _agree(rounds: dict[str, list[list[float]]]) -> bool:
    medians = [[statistics.median(each) for each in _fastest(own)] for own in rounds.values()]
    return all(own[-1] <= own[0] * (1 + AGREEMENT) for own in medians)


def _handicapped_us(candidate_id: str, latencies_us: list[float], incumbent: Candidate | None) -> float:
    """The incumbent stays unless it is really beaten."""
    is_incumbent = incumbent is not None and candidate_id == incumbent.id
    return statistics.median(latencies_us) * (1 - REAL_IMPROVEMENT if is_incumbent else 1.0)
