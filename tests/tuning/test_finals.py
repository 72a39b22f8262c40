"""Who wins among the best: measured again with everything else at rest, and verified."""

import itertools
from collections.abc import Iterator

import pytest

from tilewright.contract.candidates import Candidate, GenericTrace
from tilewright.contract.schedules import InstructionCount, Verification
from tilewright_tuning.cores import Cores
from tilewright_tuning.finals import FINAL_REPEATS, FINAL_SECONDS, FINALISTS, ROUNDS, Decision, Examiner, Winner, decide
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.verification import Mismatch

from .examples import DENSE, SEGFAULTS, TARGET, tiled

pytestmark = pytest.mark.alone

EXACT = Verification(reference="none", inputs=["none"], elements=1)
COUNT = InstructionCount(
    instruction="vpdpbusd", register_bits=512, dot_products=1, instructions=2, in_loop=True, dot_products_in_kernel=1
)


@pytest.fixture(scope="module")
def pool() -> Iterator[EvaluatorPool]:
    with EvaluatorPool(Cores.of_this_process(1)) as pool:
        pool.prepare(DENSE, TARGET)
        yield pool


def winner_of(decision: Decision) -> Winner:
    assert decision.winner is not None
    return decision.winner


def test_the_winner_is_measured_again_in_every_round_and_verified(pool: EvaluatorPool) -> None:
    decision = decide(pool, [tiled(8), tiled(16)], None)
    winner = winner_of(decision)
    assert len(winner.latencies_us) == ROUNDS * FINAL_REPEATS
    assert winner.verification.elements > 0
    assert winner.instruction_count is not None
    assert decision.rejections == []


def test_a_finalist_that_crashes_does_not_cost_the_others_their_chance(pool: EvaluatorPool) -> None:
    assert winner_of(decide(pool, [SEGFAULTS, tiled(8)], None)).candidate == tiled(8)


def test_records_that_fit_no_more_leave_their_places_to_the_next(pool: EvaluatorPool) -> None:
    unfit = [GenericTrace(trace=[[["GetSBlock", [], [f"gone_{n}", "main"], ["b0"]]], []]) for n in range(FINALISTS)]
    decision = decide(pool, [*unfit, tiled(8)], unfit[0])
    assert winner_of(decision).candidate == tiled(8)
    assert [rejection.candidate for rejection in decision.rejections] == unfit


class ScriptedExaminer:
    """Latencies as they are told; everything is exact, but for the first `faults` that are verified."""

    def __init__(self, latencies_us: dict[str, float], faults: int = 0) -> None:
        self._latencies_us, self.faults = latencies_us, faults

    def build(self, candidate: Candidate) -> None:
        """Nothing to build."""

    def measure(self, candidate: Candidate, repeats: int) -> list[float]:
        return [self._latencies_us[candidate.id]] * repeats

    def verify(self, candidate: Candidate) -> Verification | Mismatch:
        if self.faults == 0:
            return EXACT
        self.faults -= 1
        return Mismatch("1 of 1 elements differ")

    def count_instructions(self, candidate: Candidate) -> InstructionCount:
        return COUNT


def scripted(*candidates: Candidate, faults: int = 0) -> ScriptedExaminer:
    return ScriptedExaminer({candidate.id: 10.0 + index for index, candidate in enumerate(candidates)}, faults)


def test_a_finalist_that_is_not_exact_is_rejected_and_the_next_one_wins() -> None:
    candidates = [tiled(8), tiled(16), tiled(4)]
    decision = decide(scripted(*candidates, faults=1), candidates, None)
    assert winner_of(decision).candidate == tiled(16)
    [rejection] = decision.rejections
    assert rejection.candidate == tiled(8)
    assert "elements differ" in rejection.reason


def test_nothing_is_served_when_no_finalist_is_exact() -> None:
    candidates = [tiled(8), tiled(16)]
    decision = decide(scripted(*candidates, faults=2), candidates, None)
    assert decision.winner is None
    assert [rejection.candidate for rejection in decision.rejections] == candidates


@pytest.mark.parametrize(("challenger_us", "wins"), [(99.5, False), (98.5, True), (101.0, False)])
def test_an_incumbent_stays_unless_it_is_really_beaten(challenger_us: float, wins: bool) -> None:
    incumbent, challenger = tiled(16), tiled(8)
    examiner = ScriptedExaminer({incumbent.id: 100.0, challenger.id: challenger_us})
    winner = winner_of(decide(examiner, [challenger], incumbent))
    assert winner.candidate == (challenger if wins else incumbent)


def test_only_the_best_few_are_measured_again_and_the_incumbent_with_them() -> None:
    candidates = [tiled(width) for width in (1, 2, 3, 4, 5, 8, 16)]
    latencies_us = {candidate.id: 100.0 for candidate in candidates[:FINALISTS]} | {tiled(32).id: 50.0}
    winner = winner_of(decide(ScriptedExaminer(latencies_us), candidates, tiled(32)))
    assert winner.candidate == tiled(32)


class UnsteadyExaminer(ScriptedExaminer):
    """One candidate, whose rounds take as long as they are told; the last ones repeat."""

    def __init__(self, *rounds_us: float) -> None:
        super().__init__({})
        self._rounds_us = itertools.chain(rounds_us[:-2], itertools.cycle(rounds_us[-2:]))
        self.rounds = 0

    def measure(self, candidate: Candidate, repeats: int) -> list[float]:
        self.rounds += 1
        return [next(self._rounds_us)] * repeats


def decide_alone(examiner: Examiner, seconds: float = FINAL_SECONDS) -> Winner:
    return winner_of(decide(examiner, [tiled(8)], None, seconds))


def test_disturbed_rounds_are_made_again_and_do_not_count() -> None:
    unsteady = UnsteadyExaminer(150.0, 100.0, 130.0, 110.0, 101.0, 101.0)
    winner = decide_alone(unsteady)
    assert sorted(set(winner.latencies_us)) == [100.0, 101.0]
    assert len(winner.latencies_us) == ROUNDS * FINAL_REPEATS
    assert unsteady.rounds == ROUNDS + 3


def test_rounds_that_never_agree_come_to_an_end() -> None:
    faster_and_faster = UnsteadyExaminer(*(100.0 * 0.99**number for number in range(100_000)))
    winner = decide_alone(faster_and_faster, seconds=0.05)
    assert len(winner.latencies_us) == ROUNDS * FINAL_REPEATS
    assert faster_and_faster.rounds > ROUNDS
