"""A choice is data that outlives its version: what is read from it, and what is refused."""

import subprocess
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from tilewright.contract.candidates import Choice
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule
from tilewright_kernels.conv2d.spaces import SPACES, StructuredSpace
from tilewright_kernels.isa.paths import host_isas
from tilewright_kernels.runtime.build import chosen
from tilewright_kernels.runtime.kernel import Kernel

from .cases import random_case, structured
from .references import int64_result

STRUCTURED = [space for space in SPACES if isinstance(space, StructuredSpace)]
EACH_SPACE = pytest.mark.parametrize("space", STRUCTURED, ids=lambda space: space.name)
WORKLOADS = (
    Workload(batch=1, in_channels=32, height=8, width=8, out_channels=64, kernel_size=(3, 3), padding=(1, 1, 1, 1)),
    Workload(batch=2, in_channels=24, height=7, width=8, out_channels=40, kernel_size=(1, 1)),
    Workload(batch=1, in_channels=3, height=9, width=10, out_channels=21, kernel_size=(3, 2)),
    Workload(batch=1, in_channels=64, height=6, width=6, out_channels=64, kernel_size=(3, 3), groups=64),
    Workload(batch=1, in_channels=64, height=6, width=8, out_channels=64, kernel_size=(3, 3), groups=16),
)
DENSE = WORKLOADS[0]
OF_VERSION_1 = {"rows": 1, "columns": 4, "blocks": 2, "order": 1}
"""Before `shared` was a decision of register tiles."""


def covered_by(space: StructuredSpace[Any]) -> list[Workload]:
    return [workload for workload in WORKLOADS if space.covers(workload, space.isa)]


@EACH_SPACE
@pytest.mark.parametrize("threads", [1, 3])
def test_every_choice_is_read_back_as_it_was_made(space: StructuredSpace[Any], threads: int) -> None:
    target = Target(isa=space.isa, threads=threads)
    assert covered_by(space)
    for workload in covered_by(space):
        for decisions in space.candidates(workload, target):
            sent = space.choice(decisions).model_dump_json()
            assert space.read(Choice.model_validate_json(sent), workload, target) == decisions


@EACH_SPACE
@pytest.mark.parametrize("value", [0, 5, 2**31])
def test_a_choice_that_does_not_fit_the_workload_is_refused(space: StructuredSpace[Any], value: int) -> None:
    workload, target = covered_by(space)[0], Target(isa=space.isa)
    good = asdict(space.candidates(workload, target)[0])
    for name in good.keys() - {"order", "shared"}:
        odd = Choice(space=space.name, version=space.version, decisions={**good, name: value})
        with pytest.raises(ForeignSchedule, match="does not fit"):
            space.read(odd, workload, target)


@EACH_SPACE
def test_a_choice_of_a_later_version_or_with_other_decisions_is_refused(space: StructuredSpace[Any]) -> None:
    workload, target = covered_by(space)[0], Target(isa=space.isa)
    good = asdict(space.candidates(workload, target)[0])
    for version, decisions in (
        (space.version + 1, good),
        (space.version, {**good, "unroll": 4}),
        (space.version, {}),
        (1, {}),
        (1, {**good, "order": 99}),
    ):
        with pytest.raises(ForeignSchedule):
            space.read(Choice(space=space.name, version=version, decisions=decisions), workload, target)


@pytest.mark.parametrize("isa", [isa for isa in host_isas() if isa is not Isa.X86_64])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_choice_of_an_earlier_version_builds_an_exact_kernel(isa: Isa, threads: int) -> None:
    target = Target(isa=isa, threads=threads)
    old = Choice(space=f"dense_{isa.value}", version=1, decisions=OF_VERSION_1)
    case = random_case(DENSE, 3)
    np.testing.assert_array_equal(case.run(Kernel(DENSE, target, old)), int64_result(case))


def test_a_choice_of_an_earlier_version_is_known_as_the_one_of_today() -> None:
    space, target = structured(DENSE), Target(isa=Isa.AVX512_VNNI)
    old = Choice(space=space.name, version=1, decisions=OF_VERSION_1)
    assert space.read(old, DENSE, target) in space.candidates(DENSE, target)


@EACH_SPACE
def test_a_choice_never_reaches_another_isa(space: StructuredSpace[Any]) -> None:
    workload = covered_by(space)[0]
    choice = space.choice(space.candidates(workload, Target(isa=space.isa))[0])
    for isa in set(Isa) - {space.isa}:
        with pytest.raises(ForeignSchedule, match=f"does not schedule .* on {isa}"):
            chosen(workload, Target(isa=isa), choice)


def test_choices_and_what_is_expected_of_them_need_neither_tvm_nor_numpy() -> None:
    program = """
import sys
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.kinds import expected_choice
conv = Workload(batch=1, in_channels=64, height=56, width=56, out_channels=64, kernel_size=(3, 3), padding=(1, 1, 1, 1))
print(expected_choice(conv, Target(isa=Isa.AVX512_VNNI)).decisions)
print([name for name in ("tvm", "numpy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    decisions, imported = done.stdout.splitlines()
    assert decisions == "{'rows': 1, 'columns': 4, 'blocks': 4, 'order': 0, 'shared': 0}"
    assert imported == "[]"
