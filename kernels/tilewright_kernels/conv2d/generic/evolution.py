"""MetaSchedule's rules and search, set up for one core's int8 code and without what makes them slow."""

from typing import Any

from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule import _ffi_api
from tvm.s_tir.meta_schedule.logging import get_logger, get_logging_func
from tvm.s_tir.meta_schedule.schedule_rule import ParallelizeVectorizeUnroll, ScheduleRule

from tilewright.contract.target import Target
from tilewright_kernels.isa.llvm import llvm_target

UNROLL_STEPS = [0, 16, 64]
"""MetaSchedule also unrolls 512 steps; such candidates take up to a second to build and are never the best."""

VECTOR_EXTENT = 64


def rules(threads: int) -> list[Any]:
    """MetaSchedule's rules for a CPU; a kernel for one thread has no parallel loop."""
    final = ParallelizeVectorizeUnroll(
        max_jobs_per_core=16 if threads > 1 else -1,
        max_vectorize_extent=VECTOR_EXTENT,
        unroll_max_steps=UNROLL_STEPS,
        unroll_explicit=True,
    )
    return [final if isinstance(rule, ParallelizeVectorizeUnroll) else rule for rule in ScheduleRule.create("llvm")]


def tune_context(function: Any, target: Target, population: int, seed: int) -> Any:
    """An evolutionary search over the generic space of `function`.

    `ms.TuneContext(...)` would do the same after importing the tensor intrinsics of every GPU, which takes 12 s;
    a generic space uses none of them, so the object is made without its Python constructor.
    """
    context = _ffi_api.TuneContext(
        ms.tune_context._normalize_mod(function),
        llvm_target(target.isa, target.threads),
        # All three are given: where one is missing, MetaSchedule makes its defaults for a VNNI target, and those look
        # up tensor intrinsics that nobody has registered.
        ms.space_generator.PostOrderApply(
            sch_rules=rules(target.threads),
            postprocs=ms.Postproc.create("llvm"),
            mutator_probs=ms.Mutator.create("llvm"),
        ),
        ms.search_strategy.EvolutionarySearch(
            population_size=population, init_min_unmeasured=population // 2, genetic_num_iters=2, eps_greedy=0.15
        ),
        "conv",
        1,
        seed,
        get_logging_func(get_logger(__name__)),
    )
    _ffi_api.TuneContextInitialize(context)
    return context
