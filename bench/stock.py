# mypy: disable-error-code="untyped-decorator,no-untyped-def,valid-type,no-untyped-call,misc"
"""Stock MetaSchedule on one convolution, with a dot-product intrinsic that works: the best so far against time.

    python -m bench.stock WORKLOAD_JSON [--seconds 120]

The intrinsic that TVM ships does not compile with LLVM 22, so the same one with a body of ours takes its place; rules,
search, cost model, builder and runner are TVM's own. The results are int32, without requantisation: less work than
our kernels do. Prints a JSON list of [seconds, best latency in us], one for each batch of trials.
"""

import argparse
import json
import logging
import math
import os
import tempfile
import time
from typing import Any

os.environ["TVM_NUM_THREADS"] = "1"

import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import TensorIntrin
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.postproc import RewriteTensorize
from tvm.s_tir.meta_schedule.schedule_rule import (
    MultiLevelTiling,
    MultiLevelTilingWithIntrin,
    ParallelizeVectorizeUnroll,
    ReuseType,
    ScheduleRule,
)
from tvm.script import tirx as T  # noqa: N812

from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright_kernels.isa.intrinsics import multiply_add
from tilewright_kernels.isa.llvm import llvm_target
from tilewright_kernels.isa.paths import PATHS

ISA = Isa.AVX512_VNNI
INTRINSIC = "bench_dot_16x4_vnni"
TRIALS_A_BATCH = 16
"""The default of 64 takes most of two minutes; smaller batches show earlier what was found."""

MOST_TRIALS = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", type=Workload.model_validate_json)
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    print(json.dumps(tune(options.workload, options.seconds)))


def tune(workload: Workload, seconds: float) -> list[tuple[float, float]]:
    """(seconds since the start, best latency in us), the last batch that ended in time last."""
    logging.disable(logging.CRITICAL)
    import tvm.s_tir.tensor_intrin  # noqa: F401  it takes seconds, and its time is not the search's

    TensorIntrin.register(INTRINSIC, dot_description(), dot_implementation(), override=True)
    curve = Curve(seconds)
    with tempfile.TemporaryDirectory() as folder:
        ms.tir_integration.tune_tir(
            convolution(workload),
            llvm_target(ISA),
            folder,
            max_trials_global=MOST_TRIALS,
            num_trials_per_iter=TRIALS_A_BATCH,
            space=ms.space_generator.PostOrderApply(
                sch_rules=rules(), postprocs=postprocessors(), mutator_probs=ms.Mutator.create("llvm")
            ),
            measure_callbacks=[*ms.MeasureCallback.create("default"), curve],
            num_tuning_cores="logical",
            seed=0,
        )
    return curve.points


@derived_object
class Curve(ms.measure_callback.PyMeasureCallback):
    """Notes the best after every batch, and ends the task when its time is over."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._started = time.monotonic()
        self.points: list[tuple[float, float]] = []

    def apply(self, task_scheduler: Any, task_id: int, candidates: Any, builds: Any, runs: Any) -> None:
        elapsed = time.monotonic() - self._started
        latencies = [1e6 * float(min(map(float, run.run_secs))) for run in runs if run.run_secs]
        best_us = min([*latencies, *(us for _, us in self.points[-1:])], default=math.inf)
        if elapsed <= self._seconds:
            self.points.append((elapsed, best_us))
        else:
            task_scheduler.terminate_task(task_id)


def rules() -> list[Any]:
    """MetaSchedule's rules for VNNI, with our intrinsic and without a parallel loop."""
    tensorize = MultiLevelTilingWithIntrin(
        INTRINSIC,
        structure="SSRSRS",
        max_innermost_factor=64,
        reuse_write=ReuseType(req="may", levels=[1, 2], scope="global"),
    )
    final = ParallelizeVectorizeUnroll(-1, 64, [0, 16, 64, 512], True)
    found = [final if isinstance(rule, ParallelizeVectorizeUnroll) else rule for rule in ScheduleRule.create("llvm")]
    tiling = next(index for index, rule in enumerate(found) if isinstance(rule, MultiLevelTiling))
    return [*found[:tiling], tensorize, *found[tiling:]]


def postprocessors() -> list[Any]:
    return [*ms.Postproc.create("llvm")[:-1], RewriteTensorize(vectorize_init_loop=True)]


def convolution(workload: Workload) -> Any:
    """Data NHWC, weight (channel block, kernel height, kernel width, channel quad, 16, 4), int32 out."""
    n_, h_, w_, c_ = workload.input_shape
    _, oh_, ow_, oc_ = workload.output_shape
    (kh_, kw_), (sh, sw) = workload.kernel_size, workload.stride
    top, left, bottom, right = workload.padding
    ph, pw, blocks, quads = h_ + top + bottom, w_ + left + right, oc_ // 16, c_ // 4

    def padded_element(data: Any, n: Any, h: Any, w: Any, c: Any) -> Any:
        if not any(workload.padding):
            return data[n, h, w, c]
        inside = tvm.tirx.all(h >= top, h < top + h_, w >= left, w < left + w_)
        return T.if_then_else(inside, data[n, h - top, w - left, c], T.uint8(0))

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer((n_, h_, w_, c_), "uint8"),
        weight: T.Buffer((blocks, kh_, kw_, quads, 16, 4), "int8"),
        out: T.Buffer((n_, oh_, ow_, blocks, 16), "int32"),
    ):
        T.func_attr({"tirx.noalias": True})
        padded = T.sblock_alloc_buffer((n_, ph, pw, c_), "uint8")
        for n, h, w, c in T.grid(n_, ph, pw, c_):
            with T.sblock("pad"):
                vn, vh, vw, vc = T.axis.remap("SSSS", [n, h, w, c])
                padded[vn, vh, vw, vc] = padded_element(data, vn, vh, vw, vc)
        for n, h, w, b, lane, kh, kw, q, i in T.grid(n_, oh_, ow_, blocks, 16, kh_, kw_, quads, 4):
            with T.sblock("conv"):
                vn, vh, vw, vb, vl, vkh, vkw, vq, vi = T.axis.remap("SSSSSRRRR", [n, h, w, b, lane, kh, kw, q, i])
                with T.init():
                    out[vn, vh, vw, vb, vl] = 0
                out[vn, vh, vw, vb, vl] = out[vn, vh, vw, vb, vl] + T.cast(
                    padded[vn, vh * sh + vkh, vw * sw + vkw, vq * 4 + vi], "int32"
                ) * T.cast(weight[vb, vkh, vkw, vq, vl, vi], "int32")

    return main


def dot_description() -> Any:
    @T.prim_func(s_tir=True)
    def description(
        data: T.Buffer((4,), "uint8", offset_factor=1),
        weight: T.Buffer((16, 4), "int8", offset_factor=1),
        total: T.Buffer((16,), "int32", offset_factor=1),
    ):
        with T.sblock("root"):
            T.reads(total[0:16], data[0:4], weight[0:16, 0:4])
            T.writes(total[0:16])
            for lane in T.serial(0, 16):
                for tap in T.serial(0, 4):
                    with T.sblock("update"):
                        vl, vt = T.axis.remap("SR", [lane, tap])
                        total[vl] = total[vl] + T.cast(data[vt], "int32") * T.cast(weight[vl, vt], "int32")

    return description


def dot_implementation() -> Any:
    dot = PATHS[ISA].dot

    def broadcast(data: Any) -> Any:
        together = T.reinterpret(data.vload([0], "uint8x4"), dtype="int32")
        return T.reinterpret(T.broadcast(together, 16), dtype="uint8x64")

    @T.prim_func(s_tir=True)
    def implementation(
        data: T.Buffer((4,), "uint8", offset_factor=1),
        weight: T.Buffer((16, 4), "int8", offset_factor=1),
        total: T.Buffer((16,), "int32", offset_factor=1),
    ):
        with T.sblock("root"):
            T.reads(total[0:16], data[0:4], weight[0:16, 0:4])
            T.writes(total[0:16])
            total[T.ramp(T.int32(0), 1, 16)] = multiply_add(
                dot, total.vload([0], dtype="int32x16"), broadcast(data), weight.vload([0, 0], dtype="int8x64")
            )

    return implementation


if __name__ == "__main__":
    main()
