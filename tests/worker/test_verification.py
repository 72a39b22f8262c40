import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tilewright.contract import Proof, Target, Workload
from tilewright.contract.candidates import Candidate, GenericTrace
from tilewright_kernels.conv2d.numerics import REFERENCE, Quantization
from tilewright_kernels.isa.proof import assembly, prove
from tilewright_kernels.runtime.kernel import Kernel, load_kernel
from tilewright_tuning import tuning, verification
from tilewright_tuning.cores import Cores
from tilewright_tuning.trials import Bench
from tilewright_tuning.tuning import FINAL_REPEATS, FINALISTS, ROUNDS, Winner, decide
from tilewright_tuning.verification import Verdict, verify

from .examples import DENSE, GROUPED, SEGFAULTS, TARGET, good_candidate, tiled

Fault = Callable[[Quantization], Quantization]


class FaultyKernel(Kernel):
    """A real kernel that is given other constants than it should."""

    fault: Fault

    def arguments(self, values: Quantization) -> list[Any]:
        return super().arguments(self.fault(values))


def faulty(fault: Fault, workload: Workload = DENSE) -> Kernel:
    kernel = FaultyKernel(workload, TARGET, good_candidate(workload))
    kernel.fault = fault
    return kernel


def one_weight_off(values: Quantization) -> Quantization:
    weight = values.weight.copy()
    weight[-1, -1, -1, -1] ^= 1
    return replace(values, weight=weight)


def one_bias_off(values: Quantization) -> Quantization:
    bias = values.bias.copy()
    bias[-1] += 1
    return replace(values, bias=bias)


def one_scale_off(values: Quantization) -> Quantization:
    scale = values.scale.copy()
    scale[0] *= 1.01
    return replace(values, scale=scale)


def data_zero_point_off(values: Quantization) -> Quantization:
    return replace(values, data_zero_point=values.data_zero_point + 1)


def out_zero_point_off(values: Quantization) -> Quantization:
    return replace(values, out_zero_point=values.out_zero_point - 1)


def weights_as_seven_bits(values: Quantization) -> Quantization:
    """As in kernels that avoid the overflow of 16-bit sums."""
    return replace(values, weight=np.clip(values.weight, -64, 63).astype(np.int8))


FAULTS = (
    one_weight_off,
    one_bias_off,
    one_scale_off,
    data_zero_point_off,
    out_zero_point_off,
    weights_as_seven_bits,
)


@pytest.mark.parametrize("workload", [DENSE, GROUPED, DENSE.model_copy(update={"out_dtype": "int32"})])
def test_an_exact_kernel_passes_and_says_on_which_inputs(workload: Workload) -> None:
    passed = verify(load_kernel(workload, TARGET)).passed
    assert passed is not None
    assert passed.reference == REFERENCE
    assert len(passed.inputs) == len(set(passed.inputs)) == 7
    assert "random" in passed.inputs
    assert {"x=255 w=-128", "x=255 w=127"} <= {name.partition(" zero")[0] for name in passed.inputs}
    assert passed.elements == 7 * int(np.prod(workload.output_shape))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_kernel_with_a_fault_is_refused_and_says_for_which_input(fault: Fault) -> None:
    verdict = verify(faulty(fault))
    assert verdict.passed is None
    assert verdict.mismatch is not None
    assert "elements differ for" in verdict.mismatch


@pytest.mark.parametrize("zero_point", [0, 255])
def test_the_inputs_reach_both_ends_of_the_zero_points(zero_point: int) -> None:
    values = [inputs.values for inputs in verification.gate_inputs(DENSE)]
    assert zero_point in {each.data_zero_point for each in values}
    assert zero_point in {each.out_zero_point for each in values}


class FaultyBench(Bench):
    """Gives the first so many candidates that it verifies a faulty kernel."""

    faults = 0

    def verify(self, candidate: Candidate) -> Verdict:
        if self.faults == 0:
            return super().verify(candidate)
        self.faults -= 1
        kernel = FaultyKernel(DENSE, TARGET, candidate)
        kernel.fault = one_weight_off
        return verify(kernel)


@pytest.fixture(scope="module")
def bench() -> Iterator[FaultyBench]:
    with FaultyBench(Cores.of_this_process(1)) as bench:
        bench.prepare(DENSE, TARGET)
        yield bench


Rejections = list[tuple[Candidate, str]]


def decided(
    bench: Bench, *candidates: Candidate, incumbent: Candidate | None = None
) -> tuple[Winner | None, Rejections]:
    rejections: Rejections = []
    measured = [(candidate, 10.0 + place) for place, candidate in enumerate(candidates)]
    return decide(bench, measured, incumbent, lambda *rejection: rejections.append(rejection)), rejections


def test_the_winner_is_measured_again_in_every_round_and_proven(bench: FaultyBench) -> None:
    winner, rejections = decided(bench, tiled(8), tiled(16))
    assert winner is not None
    assert len(winner.latencies_us) == ROUNDS * FINAL_REPEATS
    assert winner.verification.elements > 0
    assert rejections == []


def test_a_finalist_that_is_not_exact_is_rejected_and_the_next_one_wins(bench: FaultyBench) -> None:
    bench.faults = 1
    winner, rejections = decided(bench, tiled(8), tiled(16), tiled(4))
    assert winner is not None
    [(rejected, reason)] = rejections
    assert rejected != winner.candidate
    assert "elements differ for random" in reason


def test_nothing_is_served_when_no_finalist_is_exact(bench: FaultyBench) -> None:
    bench.faults = 2
    winner, rejections = decided(bench, tiled(8), tiled(16))
    assert winner is None
    assert {candidate.id for candidate, _ in rejections} == {tiled(8).id, tiled(16).id}
    assert bench.faults == 0


def test_a_finalist_that_crashes_does_not_cost_the_others_their_chance(bench: FaultyBench) -> None:
    winner, _ = decided(bench, SEGFAULTS, tiled(8))
    assert winner is not None
    assert winner.candidate == tiled(8)


def test_records_that_fit_no_more_leave_their_places_to_the_next(bench: FaultyBench) -> None:
    unfit = [GenericTrace(trace=[[["GetSBlock", [], [f"gone_{n}", "main"], ["b0"]]], []]) for n in range(FINALISTS)]
    winner, rejections = decided(bench, *unfit, tiled(8), incumbent=unfit[0])
    assert winner is not None
    assert winner.candidate == tiled(8)
    assert [candidate for candidate, _ in rejections] == unfit


class ScriptedBench(Bench):
    """Latencies as they are told; everything is exact."""

    def __init__(self, latencies_us: dict[str, float]) -> None:
        self._latencies_us = latencies_us

    def build_alone(self, candidate: Candidate) -> None:
        pass

    def measure_alone(self, candidate: Candidate, repeats: int) -> list[float]:
        return [self._latencies_us[candidate.id]] * repeats

    def verify(self, candidate: Candidate) -> Verdict:
        return verify(Kernel(DENSE, Target(isa=TARGET.isa), candidate))

    def prove(self, candidate: Candidate) -> Proof:
        return prove(assembly(Kernel(DENSE, Target(isa=TARGET.isa), candidate).module), TARGET.isa)


@pytest.mark.parametrize(("challenger_us", "wins"), [(99.5, False), (98.5, True), (101.0, False)])
def test_an_incumbent_stays_unless_it_is_really_beaten(challenger_us: float, wins: bool) -> None:
    incumbent, challenger = tiled(16), tiled(8)
    scripted = ScriptedBench({incumbent.id: 100.0, challenger.id: challenger_us})
    winner, _ = decided(scripted, challenger, incumbent=incumbent)
    assert winner is not None
    assert winner.candidate == (challenger if wins else incumbent)


def test_only_the_best_few_are_measured_again_and_the_incumbent_with_them() -> None:
    candidates = [tiled(width) for width in (1, 2, 3, 4, 5, 8, 16)]
    latencies_us = {candidate.id: 100.0 for candidate in candidates[:FINALISTS]} | {tiled(32).id: 50.0}
    winner, _ = decided(ScriptedBench(latencies_us), *candidates, incumbent=tiled(32))
    assert winner is not None
    assert winner.candidate == tiled(32)


class UnsteadyBench(ScriptedBench):
    """One candidate, whose rounds take as long as they are told; the last ones repeat."""

    def __init__(self, *rounds_us: float) -> None:
        self._rounds_us = itertools.chain(rounds_us[:-2], itertools.cycle(rounds_us[-2:]))
        self.rounds = 0

    def measure_alone(self, candidate: Candidate, repeats: int) -> list[float]:
        self.rounds += 1
        return [next(self._rounds_us)] * repeats


def test_disturbed_rounds_are_made_again_and_do_not_count() -> None:
    unsteady = UnsteadyBench(150.0, 100.0, 130.0, 110.0, 101.0, 101.0)
    winner, _ = decided(unsteady, tiled(8))
    assert winner is not None
    assert sorted(set(winner.latencies_us)) == [100.0, 101.0]
    assert len(winner.latencies_us) == ROUNDS * FINAL_REPEATS
    assert unsteady.rounds == ROUNDS + 3


def test_rounds_that_never_agree_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "FINAL_SECONDS", 0.05)
    faster_and_faster = UnsteadyBench(*(100.0 * 0.99**number for number in range(100_000)))
    winner, _ = decided(faster_and_faster, tiled(8))
    assert winner is not None
    assert len(winner.latencies_us) == ROUNDS * FINAL_REPEATS
    assert faster_and_faster.rounds > ROUNDS
