from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tilewright.contract.schedules import Verification
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import REFERENCE, Quantization
from tilewright_kernels.runtime.kernel import Kernel, load_kernel
from tilewright_tuning.test_inputs import verification_inputs
from tilewright_tuning.verification import Mismatch, verify

from .examples import DENSE, GROUPED, TARGET, good_candidate

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
    passed = verify(load_kernel(workload, TARGET))
    assert isinstance(passed, Verification)
    assert passed.reference == REFERENCE
    assert len(passed.inputs) == len(set(passed.inputs)) == 7
    assert "random" in passed.inputs
    assert {"x=255 w=-128", "x=255 w=127"} <= {name.partition(" zero")[0] for name in passed.inputs}
    assert passed.elements == 7 * int(np.prod(workload.output_shape))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_kernel_with_a_fault_is_refused_and_says_for_which_input(fault: Fault) -> None:
    outcome = verify(faulty(fault))
    assert isinstance(outcome, Mismatch)
    assert "elements differ for" in outcome.reason


@pytest.mark.parametrize("zero_point", [0, 255])
def test_the_inputs_reach_both_ends_of_the_zero_points(zero_point: int) -> None:
    values = [inputs.values for inputs in verification_inputs(DENSE)]
    assert zero_point in {each.data_zero_point for each in values}
    assert zero_point in {each.out_zero_point for each in values}
