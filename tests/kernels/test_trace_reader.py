"""Traces of the generic space: everything that MetaSchedule writes is read, everything else is refused unseen."""

import json
from typing import Any

import pytest
from tvm.s_tir import meta_schedule as ms

from tilewright.contract.candidates import GenericTrace
from tilewright.contract.schedules import Schedule
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule
from tilewright_kernels.conv2d.generic.evolution import tune_context
from tilewright_kernels.conv2d.generic.trace_reader import check_trace
from tilewright_kernels.runtime.build import definition, scheduled, trace_of
from tilewright_kernels.runtime.kernel import load_kernel

from .cases import host_target

CONV = Workload(batch=1, in_channels=8, height=6, width=6, out_channels=12, kernel_size=(3, 3), residual=True)
DEPTHWISE = Workload(batch=2, in_channels=16, height=6, width=6, out_channels=16, kernel_size=(3, 3), groups=16)
IN_NCHW = DEPTHWISE.model_copy(update={"layout": "NCHW"})
"""Its tiles are written through a cache."""
BLOCK, LOOPS = ["GetSBlock", [], ["conv", "main"], ["b0"]], ["GetLoops", ["b0"], [], ["l1", "l2", "l3"]]
TILE = ["SamplePerfectTile", ["l1"], [2, 64], ["v4", "v5"]]


@pytest.mark.parametrize("workload", [CONV, DEPTHWISE, IN_NCHW], ids=["dense", "depthwise", "depthwise in NCHW"])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_trace_that_metaschedule_breeds_is_read(workload: Workload, threads: int) -> None:
    target = host_target(threads=threads)
    context = tune_context(definition("generic", workload), target, population=32, seed=5)
    judge = ms.CostModel.create("random")
    context.pre_tuning(48, 24, database=ms.database.MemoryDatabase(), cost_model=judge)
    bred = context.generate_measure_candidates()
    assert len(bred) >= 8
    for each in bred:
        stored = json.loads(json.dumps(trace_of(each.sch)))
        check_trace(stored)
        assert trace_of(scheduled(workload, target, GenericTrace(trace=stored))) == stored


FUSE_ONE = [
    ["GetSBlock", [], ["root", "main"], ["b0"]],
    ["Annotate", ["b0", 64], ["meta_schedule.vectorize"], []],
    ["GetSBlock", [], ["requantise", "main"], ["b1"]],
    ["GetLoops", ["b1"], [], ["l2", "l3", "l4", "l5"]],
    ["Fuse", ["l5"], [1], ["l6"]],
    ["Vectorize", ["l6"], [], []],
]
"""MetaSchedule fuses single loops, and TVM does it in place once the block around them was copied."""


def test_a_schedule_changes_nothing_for_the_next_one_of_its_workload() -> None:
    before = definition("generic", CONV).script()
    scheduled(CONV, host_target(), GenericTrace(trace=[FUSE_ONE, []]))
    assert definition("generic", CONV).script() == before


ODD: dict[str, Any] = {
    "a decision without its instruction, which would end the process": [[], [[5, 1]]],
    "an unknown instruction": [[["Tensorize", ["b0"], ["dot", True], []]], []],
    "a cache elsewhere": [[BLOCK, ["CacheWrite", ["b0", []], [0, "shared"], ["b1"]]], []],
    "code to be run when it is loaded": [[BLOCK, ["Annotate", ["b0", '"code"'], ["pragma_import_llvm"], []]], []],
    "an annotation with what it cannot be": [
        [BLOCK, ["Annotate", ["b0", 2**31 + 1], ["pragma_unroll_explicit"], []]],
        [],
    ],
    "an attribute that is too large": [[BLOCK, LOOPS, ["SamplePerfectTile", ["l1"], [4, 2**20], ["v4"]]], []],
    "a factor that is too large": [[BLOCK, LOOPS, TILE], [[2, [2**31, 2**31]]]],
    "a factor that is no number": [
        [BLOCK, LOOPS, ["SamplePerfectTile", ["l1"], [2, 64], ["v4", "v5"]]],
        [[2, [1, "2"]]],
    ],
    "too few factors": [[BLOCK, LOOPS, ["SamplePerfectTile", ["l1"], [2, 64], ["v4", "v5"]]], [[2, [1]]]],
    "two decisions for one sample": [[["SampleCategorical", [], [[0, 16], [0.5, 0.5]], ["v0"]]], [[0, 1], [0, 1]]],
    "a category that is not there": [[["SampleCategorical", [], [[0, 16], [0.5, 0.5]], ["v0"]]], [[0, 2]]],
    "a step that is too large": [[["SampleCategorical", [], [[0, 10**9], [0.5, 0.5]], ["v0"]]], [[0, 1]]],
    "a decision for what is no sample": [[BLOCK], [[0, 1]]],
    "a value that nothing gave": [[["Vectorize", ["l7"], [], []]], []],
    "a block where a loop has to be": [[BLOCK, ["Vectorize", ["b0"], [], []]], []],
    "another function": [[["GetSBlock", [], ["conv", "other"], ["b0"]]], []],
    "more unrolled steps than there may be": [
        [BLOCK, ["Annotate", ["b0", 2**31], ["pragma_auto_unroll_max_step"], []]],
        [],
    ],
    "a factor of a split that is too large": [
        [BLOCK, LOOPS, ["Split", ["l1", "None", 2**30], [1, 0], ["l4", "l5"]]],
        [],
    ],
    "an innermost factor above the limit": [[BLOCK, LOOPS, TILE], [[2, [1, 65]]]],
    "a value that is there already": [[BLOCK, BLOCK], []],
    "a value that is given twice": [[BLOCK, ["GetLoops", ["b0"], [], ["l1", "l1"]]], []],
    "more flags than there are": [[BLOCK, LOOPS, ["Fuse", ["l1", "l2"], [1, 1, 1, 1, 1], ["l4"]]], []],
    "three parts": [[], [], []],
    "an instruction that is none": [["GetSBlock"], []],
    "too many instructions": [[BLOCK] * 1_001, []],
}


@pytest.mark.parametrize("trace", list(ODD.values()), ids=list(ODD))
def test_a_trace_is_refused_before_tvm_parses_it(trace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: object) -> None:
        pytest.fail("TVM saw it")

    monkeypatch.setattr("tvm.s_tir.schedule.Trace.apply_json_to_schedule", parse)
    target = host_target()
    with pytest.raises(ForeignSchedule):
        scheduled(CONV, target, GenericTrace.model_construct(trace=trace))
    published: dict[str, Any] = {"id": 1, "choice": None, "trace": trace}
    with pytest.raises(ForeignSchedule):
        load_kernel(CONV, target, Schedule.model_construct(**published))


@pytest.mark.parametrize("kind", ["Unroll", "Vectorize"])
def test_a_trace_that_would_write_out_whole_images_is_refused(kind: str) -> None:
    large = CONV.model_copy(update={"height": 256, "width": 256})
    loops = ["l2", "l3", "l4", "l5"]
    trace = [
        ["GetSBlock", [], ["requantise", "main"], ["b1"]],
        ["GetLoops", ["b1"], [], loops],
        ["Fuse", loops, [1], ["l6"]],
        [kind, ["l6"], [], []],
    ]
    with pytest.raises(ForeignSchedule, match="writes out 774192 steps"):
        scheduled(large, host_target(), GenericTrace(trace=[trace, []]))
