"""Random workloads over all that kernels cover: each is bit-exact with two independent implementations."""

import random

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tilewright.contract.candidates import Candidate
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.spaces import StructuredSpace, space_of
from tilewright_kernels.isa.paths import host_isas
from tilewright_kernels.runtime import build
from tilewright_kernels.runtime.kernel import Kernel
from tilewright_tuning.verification import GuardedOutput

from ..conftest import SOAK
from .cases import chosen_candidate, evolved_candidate, random_case
from .references import HAS_EXACT_ONNX_RUNTIME, int64_result, onnx_runtime_result

SUITES, SUITES_OF_LAYOUTS = (1, 2, 3, 4), (5, 6)
"""Several, so that two processes can share them."""

IS_SOAK = settings.get_current_profile_name() == SOAK
WORKLOADS = 500 if IS_SOAK else 20
"""Of each suite."""
CASES = 3
"""Of data, weights, scales and zero points, for each kernel that is built."""


@st.composite
def channels(draw: st.DrawFn) -> dict[str, int]:
    """Of all kinds; counts that are multiples of nothing are as likely as those that fill vectors."""
    count = st.integers(1, 70) | st.sampled_from([3, 4, 16, 32, 48, 64])
    kind = draw(st.sampled_from(["dense", "dense", "few channels", "grouped", "depthwise"]))
    if kind == "dense":
        return {"in_channels": draw(count), "out_channels": draw(count)}
    if kind == "few channels":
        return {"in_channels": draw(st.integers(1, 3)), "out_channels": draw(count)}
    if kind == "depthwise":
        groups, multiplier = draw(count), draw(st.sampled_from([1, 1, 2, 3]))
        return {"in_channels": groups, "out_channels": groups * multiplier, "groups": groups}
    groups = draw(st.integers(2, 6))
    group_in, group_out = draw(st.integers(1, 11)), draw(st.integers(1, 11))
    return {"in_channels": groups * group_in, "out_channels": groups * group_out, "groups": groups}


@st.composite
def sixteens(draw: st.DrawFn) -> dict[str, int]:
    """Channels of NCHW16c; groups may end inside a sixteen."""
    count = st.integers(1, 5).map(lambda blocks: 16 * blocks)
    kind = draw(st.sampled_from(["dense", "dense", "grouped", "depthwise"]))
    if kind == "dense":
        return {"in_channels": draw(count), "out_channels": draw(count)}
    if kind == "depthwise":
        groups = draw(count)
        return {"in_channels": groups, "out_channels": groups * draw(st.sampled_from([1, 1, 2])), "groups": groups}
    return {"in_channels": draw(count), "out_channels": draw(count), "groups": draw(st.sampled_from([2, 4, 8, 16]))}


@st.composite
def workloads(draw: st.DrawFn, layout: str = "NHWC") -> Workload:
    kernel_size = draw(st.sampled_from([(1, 1), (3, 3)]) | st.tuples(st.integers(1, 5), st.integers(1, 5)))
    dilation = draw(st.just((1, 1)) | st.tuples(st.integers(1, 3), st.integers(1, 3)))
    border = st.integers(0, 3)
    padding = draw(st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1)]) | st.tuples(border, border, border, border))
    smallest = [max(1, (kernel_size[i] - 1) * dilation[i] + 1 - padding[i] - padding[i + 2]) for i in (0, 1)]
    return Workload(
        batch=draw(st.sampled_from([1, 1, 2, 3])),
        height=draw(st.integers(smallest[0], max(12, smallest[0]))),
        width=draw(st.integers(smallest[1], max(12, smallest[1]))),
        kernel_size=kernel_size,
        stride=draw(st.just((1, 1)) | st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=padding,
        dilation=dilation,
        data_dtype=draw(st.sampled_from(["uint8", "int8"])),
        out_dtype=draw(st.sampled_from(["uint8", "int8", "int32"])),
        bias=draw(st.booleans()),
        activation=draw(st.sampled_from(["none", "relu"])),
        layout=layout,
        **draw(sixteens() if layout == "NCHW16c" else channels()),
    )


PATHS = st.sampled_from([host_isas()[0]] * 3 + list(host_isas()))


ON_ALL_PATHS = st.sampled_from(host_isas())


@pytest.mark.timeout(3600 if IS_SOAK else 300)
@pytest.mark.parametrize("suite", [*SUITES[:2], *(pytest.param(suite, marks=pytest.mark.soak) for suite in SUITES[2:])])
def test_random_workloads_equal_onnx_runtime_and_int64_arithmetic(suite: int) -> None:
    check_random_kernels(suite, WORKLOADS, workloads(), PATHS)


@pytest.mark.timeout(3600 if IS_SOAK else 300)
@pytest.mark.parametrize("suite", SUITES_OF_LAYOUTS)
def test_random_workloads_in_nchw_and_nchw16c_equal_onnx_runtime_and_int64_arithmetic(suite: int) -> None:
    in_other_layouts = st.sampled_from(["NCHW", "NCHW16c"]).flatmap(workloads)
    check_random_kernels(suite, WORKLOADS * 2 // 3, in_other_layouts, ON_ALL_PATHS)


def check_random_kernels(
    suite: int, count: int, asked: st.SearchStrategy[Workload], paths: st.SearchStrategy[Isa]
) -> None:
    """The same workloads every time, but other ones in every soak."""

    @hypothesis.seed(random.randrange(2**32) if IS_SOAK else suite)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(workload=asked, isa=paths, is_tuned=st.booleans(), seed=st.integers(0, 2**32 - 1))
    def check(workload: Workload, isa: Isa, is_tuned: bool, seed: int) -> None:
        assert_exact(workload, isa, is_tuned, seed)

    check()


def assert_exact(workload: Workload, isa: Isa, is_tuned: bool, seed: int) -> None:
    note(f"{workload.canonical_json} on {isa}, {is_tuned=}, {seed=}")
    target = Target(isa=isa)
    candidate = tuned_candidate if is_tuned else default_candidate
    kernel = Kernel(workload, target, candidate(workload, target, seed))
    for case in (random_case(workload, seed + number) for number in range(CASES)):
        guarded = GuardedOutput(workload)
        result = case.run(kernel, out=guarded.array)
        assert guarded.is_intact(), "the kernel writes outside its output"
        np.testing.assert_array_equal(result, int64_result(case))
        if HAS_EXACT_ONNX_RUNTIME:
            np.testing.assert_array_equal(result, onnx_runtime_result(case))


def tuned_candidate(workload: Workload, target: Target, seed: int) -> Candidate:
    """One that a search may propose."""
    is_structured = isinstance(space_of(workload, target.isa), StructuredSpace)
    return (chosen_candidate if is_structured else evolved_candidate)(workload, target, seed)


def default_candidate(workload: Workload, target: Target, seed: int) -> Candidate:
    return build.default_candidate(workload, space_of(workload, target.isa), target)
