"""Tuning one workload: search, then decide among the best with everything else at rest, then verify."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from tilewright.contract.attempts import History
from tilewright.contract.candidates import Candidate
from tilewright.contract.schedules import Proof, Verification
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.runtime.build import unscheduled_candidate
from tilewright_tuning.budget import Budget
from tilewright_tuning.evaluator import EvaluationFailed
from tilewright_tuning.search import search_for
from tilewright_tuning.trials import Bench, Trial

FINALISTS = 6
ROUNDS = 6
FINAL_REPEATS = 3
AGREEMENT = 0.02
"""The fastest rounds of each finalist have to lie within this share, or there are more rounds."""

FINAL_SECONDS = 1.0
"""After this no further round begins, agreement or not; the first ROUNDS are always run."""

REAL_IMPROVEMENT = 0.01
"""A challenger has to beat the incumbent by this share in the interleaved comparison."""

DEFAULT_MACS = 2**31
"""Above this, TVM's default schedule would run for seconds; the comparison with it is left out."""


@dataclass(frozen=True)
class Winner:
    """The fastest candidate that passed the bit-exactness gate."""

    candidate: Candidate
    latencies_us: list[float]
    verification: Verification
    proof: Proof | None
    """None where the machine code could not be read."""

    @property
    def latency_us(self) -> float:
        return statistics.median(self.latencies_us)


def search(
    bench: Bench,
    workload: Workload,
    target: Target,
    history: History,
    budget: Budget,
    report: Callable[[Trial], None],
    cancelled: Callable[[], bool],
) -> str:
    """Try candidates until the budget is spent. The answer is why it stopped, in one word."""
    searching = search_for(workload, target, history)
    exhausted = False

    def propose() -> Candidate | None:
        nonlocal exhausted
        if not budget.take():
            return None
        candidate = searching.propose()
        exhausted = candidate is None
        return candidate

    def take_in(trial: Trial) -> None:
        latency_us = None if trial.failure else trial.latency_us
        searching.learn(trial.candidate, latency_us)
        budget.note(latency_us)
        report(trial)

    bench.run(propose, take_in, lambda: budget.best_us, cancelled)
    if cancelled():
        return "cancelled"
    return "exhausted" if exhausted else budget.exhausted() or "exhausted"


def default_latency_us(bench: Bench, workload: Workload) -> float | None:
    """Latency of TVM's default schedule, or None where it would take too long or does not run."""
    if workload.macs > DEFAULT_MACS:
        return None
    try:
        return min(bench.measure_alone(unscheduled_candidate(), repeats=1))
    except EvaluationFailed:
        return None


def decide(
    bench: Bench,
    best: list[tuple[Candidate, float]],
    incumbent: Candidate | None,
    reject: Callable[[Candidate, str], None],
) -> Winner | None:
    """Re-measure the best few interleaved with the incumbent; the fastest that is bit-exact, or None.

    `reject` is told of candidates that are not bit-exact: those are failures, however fast.
    """
    finalists = buildable(bench, [candidate for candidate, _ in sorted(best, key=lambda pair: pair[1])], reject)
    if incumbent is not None and incumbent.id not in {candidate.id for candidate in finalists}:
        finalists.append(incumbent)
    latencies = interleaved(bench, finalists)
    ranking = sorted(latencies, key=lambda candidate_id: _handicapped(candidate_id, latencies[candidate_id], incumbent))
    by_id = {candidate.id: candidate for candidate in finalists}
    for candidate_id in ranking:
        candidate = by_id[candidate_id]
        try:
            verdict = bench.verify(candidate)
            if verdict.passed is not None:
                return Winner(candidate, latencies[candidate_id], verdict.passed, proof_of(bench, candidate))
        except EvaluationFailed as failure:
            reject(candidate, f"{failure.kind}: {failure.reason}")
            continue
        reject(candidate, verdict.mismatch or "not bit-exact")
    return None


def buildable(bench: Bench, candidates: list[Candidate], reject: Callable[[Candidate, str], None]) -> list[Candidate]:
    """The first FINALISTS that can be built. Records of another version may hold traces that fit no more."""
    found: list[Candidate] = []
    for candidate in candidates:
        if len(found) == FINALISTS:
            break
        try:
            bench.build_alone(candidate)
            found.append(candidate)
        except EvaluationFailed as failure:
            reject(candidate, f"{failure.kind}: {failure.reason}")
    return found


def proof_of(bench: Bench, candidate: Candidate) -> Proof | None:
    """What is exact is served, whether or not its instructions can be counted."""
    try:
        return bench.prove(candidate)
    except EvaluationFailed:
        return None


def interleaved(bench: Bench, candidates: list[Candidate]) -> dict[str, list[float]]:
    """Latencies in us by candidate id, measured in turns so that drift meets all of them alike.

    What disturbs a measurement makes it longer, never shorter. So of each candidate the fastest ROUNDS rounds are
    kept, and there are further rounds until these agree or the time is over.
    """
    rounds: dict[str, list[list[float]]] = {candidate.id: [] for candidate in candidates}
    started, count = time.monotonic(), 0
    while count < ROUNDS or (not _agree(rounds) and time.monotonic() - started < FINAL_SECONDS):
        count += 1
        for candidate in candidates:
            if candidate.id in rounds:
                try:
                    rounds[candidate.id].append(bench.measure_alone(candidate, FINAL_REPEATS))
                except EvaluationFailed:
                    del rounds[candidate.id]
    return {each: [latency for kept in fastest(own) for latency in kept] for each, own in rounds.items()}


def fastest(rounds: list[list[float]]) -> list[list[float]]:
    """The ROUNDS rounds of the lowest medians."""
    return sorted(rounds, key=statistics.median)[:ROUNDS]


def _agree(rounds: dict[str, list[list[float]]]) -> bool:
    medians = [[statistics.median(each) for each in fastest(own)] for own in rounds.values()]
    return all(own[-1] <= own[0] * (1 + AGREEMENT) for own in medians)


def _handicapped(candidate_id: str, latencies_us: list[float], incumbent: Candidate | None) -> float:
    """The incumbent stays unless it is really beaten."""
    is_incumbent = incumbent is not None and candidate_id == incumbent.id
    return statistics.median(latencies_us) * (1 - REAL_IMPROVEMENT if is_incumbent else 1.0)
