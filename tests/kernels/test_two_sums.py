"""Outputs that are made of two sums, because the registers would hold too few otherwise."""

from typing import Any

import numpy as np
import pytest

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.dense.choices import loops_of
from tilewright_kernels.isa.paths import PATHS, host_isas
from tilewright_kernels.runtime.kernel import Kernel
from tilewright_tuning import verification

from .cases import chosen_candidate, random_case, structured
from .references import int64_result

SMALL = Workload(batch=1, in_channels=32, height=7, width=7, out_channels=16, kernel_size=(3, 3), padding=(1, 1, 1, 1))

RUNS_AVX_VNNI = pytest.mark.skipif(Isa.AVX_VNNI not in host_isas(), reason="this host has no AVX-VNNI")


def like_small(**fields: Any) -> Workload:
    return Workload.model_validate({**SMALL.model_dump(), **fields})


def sums(isa: Isa, **fields: Any) -> int:
    return loops_of(like_small(**fields), PATHS[isa].dot).splits


def test_an_output_is_two_sums_only_where_registers_are_few_and_columns_do_not_fill_them() -> None:
    assert sums(Isa.AVX_VNNI) == 2
    assert sums(Isa.AVX_VNNI, width=8) == 1
    assert sums(Isa.AVX_VNNI, in_channels=4) == 1, "one k_group cannot be cut in two"
    assert sums(Isa.AVX512_VNNI) == 1
    assert sums(Isa.AVX2) == 1


@RUNS_AVX_VNNI
@pytest.mark.parametrize("threads", [1, 2])
def test_every_choice_whose_outputs_are_two_sums_is_exact(threads: int) -> None:
    target = Target(isa=Isa.AVX_VNNI, threads=threads)
    for index in range(len(structured(SMALL, target.isa).candidates(SMALL, target))):
        case = random_case(SMALL, index)
        result = case.run(Kernel(SMALL, target, chosen_candidate(SMALL, target, index)))
        np.testing.assert_array_equal(result, int64_result(case))


@RUNS_AVX_VNNI
@pytest.mark.parametrize(
    "fields",
    [
        {"data_dtype": "int8", "out_dtype": "int8"},
        {"layout": "NCHW"},
        {"layout": "NCHW16c"},
        {"groups": 2},
        {"residual": True, "out_channels": 24},
        {"out_dtype": "int32", "kernel_size": (1, 1), "padding": (0, 0, 0, 0)},
    ],
    ids=str,
)
def test_outputs_of_two_sums_are_verified_in_every_kind_of_work(fields: dict[str, Any]) -> None:
    workload = like_small(**fields)
    target = Target(isa=Isa.AVX_VNNI)
    assert sums(Isa.AVX_VNNI, **fields) == 2
    verdict = verification.verify(Kernel(workload, target, chosen_candidate(workload, target, 0)))
    assert not isinstance(verdict, verification.Mismatch), verdict
