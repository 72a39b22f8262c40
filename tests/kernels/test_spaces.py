"""What the design spaces promise to the search and to whoever replays a stored trace."""

import json
from typing import Any

import numpy as np
import pytest
import tvm
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.schedule import Trace

from tilewright.contract.candidates import GenericTrace
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule
from tilewright_kernels.conv2d.spaces import SPACES, GenericSpace, StructuredSpace, space_named, space_of
from tilewright_kernels.isa.llvm import llvm_target
from tilewright_kernels.isa.paths import PATHS, host_isas
from tilewright_kernels.runtime.build import compile_schedule, definition, scheduled, trace_of
from tilewright_kernels.runtime.kernel import Kernel
from tilewright_tuning.verification import GuardedOutput

from .cases import chosen_candidate, default_kernel, evolved_candidate, host_target, random_case, structured
from .references import int64_result

TARGET = Target(isa=Isa.AVX512_VNNI)
RUNS_VNNI = pytest.mark.skipif(Isa.AVX512_VNNI not in host_isas(), reason="this host has no AVX-512 VNNI")


def depthwise(channels: int, size: int, **fields: Any) -> Workload:
    shape = {"batch": 1, "height": size, "width": size, "kernel_size": (3, 3), "padding": (1, 1, 1, 1)}
    return Workload(in_channels=channels, out_channels=channels, groups=channels, **{**shape, **fields})


WORKLOADS = {
    "padded": Workload(
        batch=1, in_channels=32, height=14, width=14, out_channels=64, kernel_size=(3, 3), padding=(1, 1, 1, 1)
    ),
    "pointwise": Workload(batch=2, in_channels=24, height=7, width=8, out_channels=96, kernel_size=(1, 1)),
    "odd channels": Workload(batch=2, in_channels=3, height=9, width=10, out_channels=21, kernel_size=(3, 2)),
    "strided int8": Workload(
        batch=1,
        in_channels=16,
        height=12,
        width=12,
        out_channels=32,
        kernel_size=(3, 3),
        stride=(2, 2),
        padding=(1, 1, 1, 1),
        data_dtype="int8",
        out_dtype="int8",
    ),
}
WORKLOADS |= {
    "nchw": Workload(**{**WORKLOADS["padded"].model_dump(), "layout": "NCHW", "width": 18, "out_channels": 40}),
    "pointwise nchw": Workload(**{**WORKLOADS["pointwise"].model_dump(), "layout": "NCHW"}),
    "nchw16c": Workload(**{**WORKLOADS["padded"].model_dump(), "layout": "NCHW16c"}),
}
DEPTHWISE = Workload(
    batch=1, in_channels=20, height=6, width=5, out_channels=20, kernel_size=(3, 3), padding=(1, 1, 1, 1), groups=20
)
DEPTHWISE_TO_BYTES = {
    "full vectors": depthwise(64, 12),
    "strided": depthwise(144, 9, stride=(2, 2)),
    "odd channels": depthwise(23, 7, data_dtype="int8", out_dtype="int8"),
    "two images": depthwise(32, 8, batch=2, kernel_size=(5, 3)),
    "two quads a row": depthwise(40, 9, kernel_size=(3, 5), stride=(1, 2), dilation=(2, 1)),
}
EACH_WORKLOAD = pytest.mark.parametrize("workload", list(WORKLOADS.values()), ids=list(WORKLOADS))


def schedule_of(workload: Workload, target: Target, choice: Any) -> Any:
    space = structured(workload)
    schedule = Schedule(definition(space.name, workload))
    space.schedule(schedule, workload, target, choice)
    return schedule


@EACH_WORKLOAD
@pytest.mark.parametrize("threads", [1, 2])
def test_every_register_tile_fits_the_register_file(workload: Workload, threads: int) -> None:
    choices = structured(workload).candidates(workload, Target(isa=TARGET.isa, threads=threads))
    assert choices
    for choice in choices:
        sums = choice.rows * choice.columns * choice.blocks
        assert sums + 2 <= 32, "the sums, a block of weights and a broadcast share 32 registers"


@EACH_WORKLOAD
@pytest.mark.parametrize("threads", [1, 2])
def test_no_two_choices_of_a_workload_give_the_same_trace(workload: Workload, threads: int) -> None:
    target = Target(isa=TARGET.isa, threads=threads)
    space = structured(workload)
    choices = space.candidates(workload, target)
    traces = {json.dumps(trace_of(schedule_of(workload, target, choice))) for choice in choices}
    assert len(traces) == len(choices)


@EACH_WORKLOAD
def test_all_choices_of_a_workload_have_as_many_features(workload: Workload) -> None:
    space = structured(workload)
    features = [space.features(workload, TARGET, choice) for choice in space.candidates(workload, TARGET)]
    assert len({len(each) for each in features}) == 1
    assert np.isfinite(features).all()


@EACH_WORKLOAD
@pytest.mark.parametrize("threads", [1, 2])
def test_the_trace_derived_from_a_choice_replays_to_the_same_code(workload: Workload, threads: int) -> None:
    """What `tuning_logs/` and `hub.database()` hold: a trace that any TVM applies to the definition."""
    target = Target(isa=TARGET.isa, threads=threads)
    space = structured(workload)
    for choice in space.candidates(workload, target):
        derived = scheduled(workload, target, space.choice(choice))
        replayed = Schedule(definition(space.name, workload))
        Trace.apply_json_to_schedule(json.loads(json.dumps(trace_of(derived))), replayed)
        tvm.ir.assert_structural_equal(replayed.mod, derived.mod)
        assert trace_of(replayed) == trace_of(derived)


def test_the_default_schedule_of_the_generic_space_replays_to_the_same_code() -> None:
    space = GenericSpace()
    schedule = Schedule(definition(space.name, DEPTHWISE))
    space.schedule_default(schedule, DEPTHWISE, TARGET)
    replayed = scheduled(DEPTHWISE, TARGET, GenericTrace(trace=json.loads(json.dumps(trace_of(schedule)))))
    tvm.ir.assert_structural_equal(replayed.mod, schedule.mod)


@RUNS_VNNI
@EACH_WORKLOAD
def test_choices_of_a_register_tile_are_exact(workload: Workload) -> None:
    space = structured(workload)
    case = random_case(workload, 2)
    expected = int64_result(case)
    choices = space.candidates(workload, TARGET)
    for choice in choices[:: max(1, len(choices) // 6)]:
        candidate = space.choice(choice)
        np.testing.assert_array_equal(case.run(Kernel(workload, TARGET, candidate)), expected, err_msg=str(choice))


@pytest.mark.parametrize("isa", [isa for isa in host_isas() if PATHS[isa].dot.multiplies_bytes])
@pytest.mark.parametrize("workload", list(DEPTHWISE_TO_BYTES.values()), ids=list(DEPTHWISE_TO_BYTES))
def test_every_depthwise_choice_is_exact_and_stays_inside_its_output(workload: Workload, isa: Isa) -> None:
    target = Target(isa=isa)
    assert space_of(workload, isa).name == f"depthwise_{isa.value}"
    case = random_case(workload, 3)
    expected = int64_result(case)
    count = len(structured(workload).candidates(workload, target))
    for index in range(0, count, max(1, count // 8)):
        guarded = GuardedOutput(workload)
        kernel = Kernel(workload, target, chosen_candidate(workload, target, index))
        np.testing.assert_array_equal(case.run(kernel, out=guarded.array), expected, err_msg=str(index))
        assert guarded.is_intact()


@EACH_WORKLOAD
@pytest.mark.parametrize("threads", [1, 2])
def test_metaschedule_may_sample_the_space_by_itself(workload: Workload, threads: int) -> None:
    """Without a choice, `schedule` is a ScheduleFn: MetaSchedule draws the decisions and can mutate them."""
    target = Target(isa=TARGET.isa, threads=threads)
    sampled = {json.dumps(trace_of(schedule_of_seed(workload, target, seed))) for seed in range(1, 9)}
    assert len(sampled) > 1


def schedule_of_seed(workload: Workload, target: Target, seed: int) -> Any:
    space = structured(workload)
    schedule = Schedule(definition(space.name, workload), seed=seed)
    space.schedule(schedule, workload, target)
    return schedule


def test_the_structured_space_works_as_a_schedule_fn_of_metaschedule() -> None:
    workload = WORKLOADS["padded"]
    space = structured(workload)
    function = definition(space.name, workload)
    generator = ms.space_generator.ScheduleFn(
        lambda schedule: space.schedule(schedule, workload, TARGET), sch_rules=[], postprocs=[], mutator_probs={}
    )
    (designed,) = generator.generate_design_space(tvm.IRModule({"main": function}))
    assert "sample_perfect_tile" in str(designed.trace)


@pytest.mark.parametrize("isa", host_isas())
@pytest.mark.parametrize("workload", [*WORKLOADS.values(), DEPTHWISE], ids=[*WORKLOADS, "depthwise"])
def test_the_generic_space_is_exact_on_every_isa_path(workload: Workload, isa: Isa) -> None:
    case = random_case(workload, 6)
    np.testing.assert_array_equal(case.run(default_kernel(workload, isa)), int64_result(case))


@pytest.mark.parametrize("isa", host_isas())
def test_metaschedule_finds_exact_candidates_in_the_generic_space_on_every_isa_path(isa: Isa) -> None:
    """On a VNNI target MetaSchedule's own rules look up intrinsics that are not registered; ours must not."""
    case = random_case(DEPTHWISE, 8)
    candidate = evolved_candidate(DEPTHWISE, host_target(isa), seed=3)
    np.testing.assert_array_equal(case.run(Kernel(DEPTHWISE, host_target(isa), candidate)), int64_result(case))


@pytest.mark.parametrize("isa", list(Isa))
def test_every_isa_path_covers_every_kind_of_convolution(isa: Isa) -> None:
    for workload in (*WORKLOADS.values(), DEPTHWISE):
        assert space_of(workload, isa).covers(workload, isa)


@pytest.mark.parametrize("isa", list(Isa))
@pytest.mark.parametrize("layout", ["NCHW", "NCHW16c"])
def test_a_layout_never_falls_back_to_the_generic_space_where_nhwc_does_not(isa: Isa, layout: str) -> None:
    for workload in (*WORKLOADS.values(), DEPTHWISE, DEPTHWISE.model_copy(update={"groups": 4})):
        channels = {"in_channels": 32, "out_channels": 64} if layout == "NCHW16c" else {}
        groups = {"groups": 32, "out_channels": 32} if workload.groups == 20 else {}
        nhwc = Workload(**{**workload.model_dump(), **channels, **(groups if channels else {}), "layout": "NHWC"})
        twin = Workload(**{**nhwc.model_dump(), "layout": layout})
        served, expected = space_of(twin, isa), space_of(nhwc, isa)
        assert isinstance(served, StructuredSpace) == isinstance(expected, StructuredSpace)


@pytest.mark.parametrize("isa", list(Isa))
def test_code_is_generated_for_every_isa_path_whether_or_not_this_host_has_it(isa: Isa) -> None:
    workload = WORKLOADS["odd channels"]
    space = space_of(workload, isa)
    schedule = Schedule(definition(space.name, workload))
    space.schedule_default(schedule, workload, Target(isa=isa))
    assert llvm_target(isa).kind.name == "llvm"
    compile_schedule(schedule, Target(isa=isa))


@pytest.mark.parametrize("workload", [*WORKLOADS.values(), DEPTHWISE], ids=[*WORKLOADS, "depthwise"])
def test_two_threads_give_the_same_result_as_one(workload: Workload) -> None:
    case = random_case(workload, 10)
    np.testing.assert_array_equal(case.run(default_kernel(workload, threads=2)), int64_result(case))


@pytest.mark.parametrize("out_dtype", ["uint8", "int8"])
@pytest.mark.parametrize("isa", [isa for isa in host_isas() if PATHS[isa].dot.lanes == 8])
def test_every_choice_that_packs_vectors_of_eight_is_exact(isa: Isa, out_dtype: Any) -> None:
    workload = Workload(
        batch=1, in_channels=12, height=4, width=4, out_channels=32, kernel_size=(1, 1), out_dtype=out_dtype
    )
    target = Target(isa=isa)
    choices = space_of(workload, isa).candidates(workload, target)  # type: ignore[attr-defined]
    assert {choice.blocks for choice in choices} >= {1, 2, 4}
    for index in range(len(choices)):
        case = random_case(workload, index)
        kernel = Kernel(workload, target, chosen_candidate(workload, target, index))
        np.testing.assert_array_equal(case.run(kernel), int64_result(case))


@pytest.mark.parametrize(("channels", "may_split"), [(128, False), (512, True)])
def test_two_threads_do_not_split_the_channels_of_a_pixel_inside_few_cache_lines(
    channels: int, may_split: bool
) -> None:
    workload = Workload(batch=1, in_channels=64, height=8, width=8, out_channels=channels, kernel_size=(1, 1))
    choices = structured(workload).candidates(workload, Target(isa=TARGET.isa, threads=2))
    blocks_first = [choice for choice in choices if choice.order == 0 and choice.shared < 3]
    assert any(choice.blocks < channels // 16 for choice in blocks_first) == may_split


@RUNS_VNNI
@EACH_WORKLOAD
def test_the_default_kernel_of_a_structured_space_holds_the_dot_product_instruction(workload: Workload) -> None:
    kernel = default_kernel(workload, Isa.AVX512_VNNI)
    assert "vpdpbusd" in kernel.module.inspect_source("asm")


def test_spaces_are_found_by_their_names() -> None:
    assert [space_named(space.name) for space in SPACES] == list(SPACES)
    with pytest.raises(ForeignSchedule, match="no space is named other"):
        space_named("other")


@pytest.mark.parametrize("isa", host_isas())
def test_a_pointwise_first_layer_with_small_planes_is_exact(isa: Isa) -> None:
    shape = {"batch": 2, "in_channels": 1, "height": 8, "width": 8, "out_channels": 256, "kernel_size": (1, 1)}
    case = random_case(Workload.model_validate({**shape, "layout": "NCHW"}), 12)
    np.testing.assert_array_equal(case.run(default_kernel(case.workload, isa)), int64_result(case))


@pytest.mark.parametrize("dilation", [(40, 1), (1, 60)])
def test_depthwise_kernels_with_far_taps_are_left_to_the_grouped_space(dilation: tuple[int, int]) -> None:
    size = {"height": 90, "width": 130, "kernel_size": (3, 3), "padding": (1, 1, 1, 1)}
    workload = depthwise(24, 8, dilation=dilation, stride=(2, 2), **size)
    assert space_of(workload, TARGET.isa).name == "grouped_avx512_vnni"
