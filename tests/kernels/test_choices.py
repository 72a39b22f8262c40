"""A choice is read back from the decisions of its trace, and what is no choice is read as none."""

import json
from typing import Any

import pytest
from tvm.s_tir import Schedule

from tilewright.contract import Isa, Target, Workload
from tilewright_kernels.conv2d.spaces import SPACES, Choice, StructuredSpace
from tilewright_kernels.runtime.build import definition, trace_of

STRUCTURED = [space for space in SPACES if isinstance(space, StructuredSpace)]
EACH_SPACE = pytest.mark.parametrize("space", STRUCTURED, ids=lambda space: space.name)
WORKLOADS = (
    Workload(batch=1, in_channels=32, height=8, width=8, out_channels=64, kernel_size=(3, 3), padding=(1, 1, 1, 1)),
    Workload(batch=2, in_channels=24, height=7, width=8, out_channels=40, kernel_size=(1, 1)),
    Workload(batch=1, in_channels=3, height=9, width=10, out_channels=21, kernel_size=(3, 2)),
    Workload(batch=1, in_channels=64, height=6, width=6, out_channels=64, kernel_size=(3, 3), groups=64),
    Workload(batch=1, in_channels=64, height=6, width=8, out_channels=64, kernel_size=(3, 3), groups=16),
)


def choices_of(space: StructuredSpace, target: Target) -> list[tuple[Workload, Choice]]:
    """All of them on one path; of the other paths, whose code is the same, some."""
    step = 1 if target.isa is Isa.AVX512_VNNI else 9
    covered = [workload for workload in WORKLOADS if space.covers(workload, target.isa)]
    return [(workload, choice) for workload in covered for choice in space.choices(workload, target)[::step]]


def decisions_of(space: StructuredSpace, workload: Workload, target: Target, choice: Choice) -> list[Any]:
    sch = Schedule(definition(space.name, workload))
    space.schedule(sch, workload, target, choice)
    return json.loads(json.dumps(trace_of(sch)))[1]


def target_of(space: StructuredSpace, threads: int) -> Target:
    return Target(isa=next(isa for isa in Isa if space.name.endswith(isa)), threads=threads)


@EACH_SPACE
@pytest.mark.parametrize("threads", [1, 3])
def test_every_choice_is_read_back_from_its_trace(space: StructuredSpace, threads: int) -> None:
    target = target_of(space, threads)
    choices = choices_of(space, target)
    assert choices
    for workload, choice in choices:
        assert space.choice_of(decisions_of(space, workload, target, choice), target) == choice


FOREIGN: tuple[Any, ...] = (
    [],
    [None],
    [[1, [2, 2]]],
    ["decisions", {"of": "another"}, 7, [[]]],
    [[1, [4, -1]], [2, [4, 1]], [3, [4, 1]], [4, 0]],
    [[1, [4, 0]], [2, [4, 1]], [3, [4, 1]], [4, 0]],
    [[1, [4, True]], [2, [4, 1]], [3, [4, 1]], [4, 0]],
    [[1, [4, 2.0]], [2, [4, 1]], [3, [4, 1]], [4, 0]],
    [[1, [4, 10**30]], [2, [4, 1]], [3, [4, 1]], [4, 0]],
    [[1, [4, 1]], [2, [4, 1]], [3, [4, 1]], [4, 3]],
    [[1, [4, 1]], [2, [4, 1]], [3, [4, 1]], [4, -1]],
    [[1, [4, 1, 2, 2, 2]], [2, [4, 1]], [3, [4, 1]], [4, 0]],
)


@EACH_SPACE
@pytest.mark.parametrize("decisions", FOREIGN, ids=str)
def test_what_is_no_decision_of_a_space_is_no_choice(space: StructuredSpace, decisions: Any) -> None:
    assert space.choice_of(decisions, target_of(space, 1)) is None


def test_decisions_for_more_threads_are_no_choice_for_one() -> None:
    space, workload = next(space for space in STRUCTURED if space.name == "dense_avx512_vnni"), WORKLOADS[0]
    three = Target(isa=Isa.AVX512_VNNI, threads=3)
    decisions = decisions_of(space, workload, three, space.choices(workload, three)[0])
    assert space.choice_of(decisions, three) is not None
    assert space.choice_of(decisions, Target(isa=Isa.AVX512_VNNI)) is None
